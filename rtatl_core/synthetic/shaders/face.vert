#version 330
// Head space -> world; light that varies slowly is summed here, per vertex.
in vec3 position;
in vec3 normal;
in float openness;
in vec2 uv;
in vec2 face_uv;
in float material;
uniform mat4 model;
uniform mat4 projection;
uniform mat4 from_light;
uniform vec3 ambient[9];  // irradiance / pi, real spherical harmonics up to order 2, linear light
uniform vec3 directions[3];  // towards key, fill, rim
uniform vec3 colours[3];
out vec3 world;
out vec3 world_normal;
out vec3 soft_light;
out vec4 in_shadow_map;
out float open_sky;
out vec2 place;
out vec2 face_place;
flat out int material_of;

vec3 irradiance(vec3 n) {
    return 0.282095 * ambient[0]
        + 0.488603 * (n.y * ambient[1] + n.z * ambient[2] + n.x * ambient[3])
        + 1.092548 * (n.x * n.y * ambient[4] + n.y * n.z * ambient[5] + n.x * n.z * ambient[7])
        + 0.315392 * (3.0 * n.z * n.z - 1.0) * ambient[6]
        + 0.546274 * (n.x * n.x - n.y * n.y) * ambient[8];
}

void main() {
    vec4 at = model * vec4(position, 1.0);
    world = at.xyz;
    world_normal = mat3(model) * normal;
    vec3 n = normalize(world_normal);
    soft_light = max(irradiance(n), 0.0) * openness
        + (max(dot(n, directions[1]) + 0.25, 0.0) / 1.25 * colours[1] + max(dot(n, directions[2]), 0.0) * colours[2])
        * mix(openness, 1.0, 0.35);
    in_shadow_map = from_light * vec4(position, 1.0);
    open_sky = openness;
    place = uv;
    face_place = face_uv;
    material_of = int(material + 0.5);
    gl_Position = projection * vec4(position, 1.0);
}
