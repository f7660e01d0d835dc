#version 330
noperspective in vec2 motion;
out vec3 colour;
void main() { colour = vec3(motion, 1.0); }
