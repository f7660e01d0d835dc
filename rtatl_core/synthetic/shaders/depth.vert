#version 330
// The scene from the key light: only depth is kept.
in vec3 position;
uniform mat4 projection;
void main() { gl_Position = projection * vec4(position, 1.0); }
