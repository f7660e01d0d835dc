#version 330
// THIN: lashes and hair, seen through where their texture is empty, as in face.frag.
noperspective in vec2 motion;
#ifdef THIN
in vec2 place;
uniform sampler2D skin;
#endif
out vec3 colour;
void main() {
#ifdef THIN
    if (texture(skin, place).a < 0.5) discard;
#endif
    colour = vec3(motion, 1.0);
}
