#version 330
// CARVED: skin with AU wrinkles. THIN: lashes and hair, seen through where their texture is empty. Split, because a
// shader that discards cannot skip what is hidden, and because software rasterisers pay for every branch.
in vec3 world;
in vec3 world_normal;
in vec3 soft_light;
in vec4 in_shadow_map;
in float open_sky;
in vec2 place;
in vec2 face_place;
flat in int material_of;
uniform sampler2D skin;
uniform sampler2D wrinkles;  // d height / du, d height / dv (v down), cavity
uniform sampler2D shadow_map;
uniform vec3 eye;
uniform vec3 directions[3];
uniform vec3 colours[3];
uniform float shadow;
uniform float shine;
uniform float gloss;
uniform float relief;
uniform float hollows;
out vec4 colour;

const int SKIN = 0, BODY = 1, MOUTH = 2, TEETH = 3, EYE = 4, LASH = 5, HAIR = 6;

float lit_share() {
    if (shadow <= 0.0) return 1.0;
    vec3 at = in_shadow_map.xyz * 0.5 + 0.5;
    float open = 0.0;
    for (int i = 0; i < 4; i++) {
        vec2 step = vec2(float(i & 1) - 0.5, float(i >> 1) - 0.5) * 2.6 / 256.0;
        open += at.z - 0.008 > texture(shadow_map, at.xy + step).r ? 0.0 : 0.25;
    }
    return mix(1.0, open, shadow);
}

void main() {
    vec4 texel = texture(skin, place);
    vec3 albedo = texel.rgb * texel.rgb * (texel.rgb * 0.305 + 0.695);  // sRGB -> linear, to within a percent
    float wet = texel.a;
    vec3 n = normalize(world_normal);
    vec3 to_eye = normalize(eye - world);
    float sky = clamp(1.0 - (1.0 - open_sky) * hollows, 0.1, 1.15);
#ifdef THIN
    if (texel.a < 0.5) discard;
    wet = 0.05;
    if (!gl_FrontFacing) n = -n;
#endif
#ifdef CARVED
    if (relief > 0.0) {
        // Tangents from how place and position change between neighbouring pixels: no attributes, any mesh.
        vec3 carved = texture(wrinkles, face_place).xyz;
        vec3 dx = dFdx(world), dy = dFdy(world);
        vec2 du = dFdx(face_place), dv = dFdy(face_place);
        float turn = du.x * dv.y - du.y * dv.x;
        if (abs(turn) > 1e-12) {
            vec3 along_u = (dx * dv.y - dy * du.y) / turn;
            vec3 along_v = (dy * du.x - dx * dv.x) / turn;
            n = normalize(n - relief * (carved.x * normalize(along_u) + carved.y * normalize(along_v)));
        }
        sky *= clamp(1.0 - 0.5 * relief * carved.z, 0.4, 1.1);
    }
#endif
    bool in_mouth = material_of == MOUTH || material_of == TEETH;  // lamps hardly reach in
    float lit = lit_share();
    float facing = dot(n, directions[0]);
    vec3 key = vec3(max((facing + 0.15) / 1.15, 0.0));
    if (material_of <= BODY) key.r = max((facing + 0.3) / 1.3, 0.0);  // skin lets red light round the edge
    vec3 light = soft_light * (sky / max(open_sky, 0.05)) + colours[0] * key * lit * (in_mouth ? sky : mix(sky, 1.0, 0.35));
    vec3 half_way = normalize(directions[0] + to_eye);
    float sharp = material_of == EYE ? 500.0 : material_of == TEETH || material_of == MOUTH ? 60.0 : gloss;
    float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(half_way, to_eye), 0.0), 5.0);
    float glint = pow(max(dot(n, half_way), 0.0), sharp) * (sharp + 8.0) / 3.0 * fresnel;
    float strength = material_of == EYE ? 1.2 : material_of == TEETH || material_of == MOUTH ? 0.6 * wet : 4.0 * shine * wet;
    vec3 sum = albedo * light + colours[0] * lit * glint * strength * max(facing, 0.0) * sky;
    sum = clamp(sum, 0.0, 4.0);
    sum = sum / (1.0 + max(sum - 0.8, 0.0));  // a soft shoulder instead of clipping
    colour = vec4(mix(sum * 12.92, 1.055 * pow(sum, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, sum)), 1.0);
}
