#version 330
// Where each vertex is drawn now, and how far that place moves until the second frame.
in vec3 position;
in vec3 later;
uniform mat4 before;
uniform mat4 after;
noperspective out vec2 motion;  // of clip space, -1 to 1
#ifdef THIN
in vec2 uv;
out vec2 place;
#endif
void main() {
    vec4 now = before * vec4(position, 1.0);
    vec4 then = after * vec4(later, 1.0);
    motion = then.xy / then.w - now.xy / now.w;
#ifdef THIN
    place = uv;
#endif
    gl_Position = now;
}
