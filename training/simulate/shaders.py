"""The GLSL programs of :mod:`training.simulate.render`: how skin, eyes, hair, cloth and wall are painted and lit.

A software renderer computes every branch of a program for every point, so skin, eyes and what is inside the head each
get a program of their own from :func:`head_fragment`.

Everything on the head is painted by where a point lies on the generic head at rest (``v_rest``, cm), so that paint
moves with the skin and every identity gets its features in the right places. Colours are linear RGB to the last line.
"""

#: parts of the mesh, as the vertex attribute ``part``
SKIN, MOUTH, SOCKET, GUMS, TEETH, EYE, LASHES, CLOTH = range(8)

HEAD_VERTEX = """
#version 330
in vec3 position;      // cm, this person with this expression
in vec3 normal;
in vec3 rest;          // cm, the generic head at rest: where the paint goes
in vec3 paint;         // signed distance inside the lips, distance to the lash line, inside the hair; cm
in float part;
in float cavity;       // > 0 in folds
uniform mat4 camera;
uniform vec4 turn;     // axis, angle of the head's turn
uniform vec3 pivot;    // cm, where the neck turns
uniform vec3 offset;   // cm, where the person sits
uniform float hair_length;
out vec3 v_position;
out vec3 v_normal;
out vec3 v_rest;
out vec3 v_paint;
flat out int v_part;
out float v_cavity;

vec3 turned(vec3 p, float angle) {
    return p * cos(angle) + cross(turn.xyz, p) * sin(angle) + turn.xyz * dot(turn.xyz, p) * (1.0 - cos(angle));
}

void main() {
    v_part = int(part + 0.5);
    vec3 place = position;
    if (v_part == 0) place += normal * hair_length * smoothstep(0.0, 2.5, paint.z);
    // the neck follows the head less and less on its way down to the shoulders, which stay
    float angle = v_part == 7 ? 0.0 : turn.w * smoothstep(-14.5, -8.0, rest.y);
    v_position = turned(place - pivot, angle) + pivot + offset;
    v_normal = turned(normal, angle);
    v_rest = rest;
    v_paint = paint;
    v_cavity = cavity;
    gl_Position = camera * vec4(v_position, 1.0);
}
"""

_COMMON = """
#version 330
in vec3 v_position;
in vec3 v_normal;
in vec3 v_rest;
in vec3 v_paint;
flat in int v_part;
in float v_cavity;
out vec4 colour;
uniform vec3 light_direction;   // toward the light
uniform vec3 light_colour;
uniform vec3 sky_colour;        // ambient light from above, from below
uniform vec3 ground_colour;

float hash(vec3 p) {
    p = fract(p * vec3(0.1031, 0.1030, 0.0973));
    p += dot(p, p.yzx + 33.33);
    return fract((p.x + p.y) * p.z);
}

float noise(vec3 p) {           // smooth, 0-1
    vec3 cell = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    return mix(mix(mix(hash(cell), hash(cell + vec3(1, 0, 0)), f.x),
                   mix(hash(cell + vec3(0, 1, 0)), hash(cell + vec3(1, 1, 0)), f.x), f.y),
               mix(mix(hash(cell + vec3(0, 0, 1)), hash(cell + vec3(1, 0, 1)), f.x),
                   mix(hash(cell + vec3(0, 1, 1)), hash(cell + vec3(1, 1, 1)), f.x), f.y), f.z);
}

vec3 to_srgb(vec3 linear) {
    vec3 c = clamp(linear, 0.0, 1.0);
    return mix(12.92 * c, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(vec3(0.0031308), c));
}

struct Surface {
    vec3 albedo;
    float gloss, shine;     // strength and sharpness of the highlight
    float soft;             // how far light creeps round the edge
    float occlusion;        // share of the room's light that gets in
    vec3 blood;             // tint of light that went through
    float alpha;
};
"""

_SKIN = """
uniform vec3 skin_colour;
uniform vec3 lip_colour;
uniform vec3 brow_colour;
uniform vec3 hair_colour;
uniform vec3 cloth_colour;
uniform vec4 brow_curve;        // height of the brow over |x|: cubic, cm
uniform vec3 brow_shape;        // thickness cm, density 0-1, lift of the tail cm
uniform vec4 skin_detail;       // redness, freckles, stubble, mottling; 0-1
uniform float hair_cover;       // cm the hairline is moved down

float blob(vec3 centre, vec3 size) {
    vec3 d = (vec3(abs(v_rest.x), v_rest.yz) - centre) / size;
    return exp(-dot(d, d));
}

// 1 on hairs of the brow, which run outward and upward
float brow() {
    float x = abs(v_rest.x);
    float along = (x - 0.85) / 5.15;
    if (along < 0.0 || along > 1.0 || v_rest.z < 5.0) return 0.0;
    float middle = brow_curve.x + x * (brow_curve.y + x * (brow_curve.z + x * brow_curve.w));
    middle += brow_shape.z * along * along;
    float half_width = brow_shape.x * 0.5 * (0.85 + 0.3 * along) * smoothstep(1.02, 0.45, along);
    float across = (v_rest.y - middle) / max(half_width, 0.02);
    float hairs = noise(vec3(x * 7.0 - v_rest.y * 5.0, v_rest.y * 2.5 + x * 1.5, 3.0));
    float edge = smoothstep(1.25, 0.45, abs(across)) * smoothstep(0.0, 0.12, along);
    return edge * mix(1.0, smoothstep(0.15, 0.6, hairs), 0.30) * brow_shape.y;
}

vec3 cloth() {
    return cloth_colour * (0.75 + noise(v_rest * vec3(1.2, 0.5, 1.2)) * 0.35 + noise(v_rest * 9.0) * 0.12);
}

vec3 skin_albedo(out float gloss) {
    float fine = noise(v_rest * 5.0), middle = noise(v_rest * 1.3), wide = noise(v_rest * 0.45 + 7.0);
    float mottle = (middle - 0.5) * 0.10 + (fine - 0.5) * 0.07 + (wide - 0.5) * 0.08;
    vec3 albedo = skin_colour * (1.0 + skin_detail.w * mottle);

    float red = 0.35 * (wide - 0.4)
              + 0.9 * blob(vec3(4.6, 0.2, 8.8), vec3(2.3, 1.7, 4.0))      // cheeks
              + 0.8 * blob(vec3(0.0, 0.3, 12.6), vec3(1.3, 1.2, 1.6))     // nose
              + 0.5 * blob(vec3(0.0, -6.3, 11.0), vec3(1.5, 1.2, 2.0))    // chin
              + 0.7 * blob(vec3(8.6, 1.0, 0.3), vec3(1.0, 3.0, 2.0));     // ears
    albedo *= mix(vec3(1.0), vec3(1.02, 0.78, 0.76), clamp(red, 0.0, 1.0) * skin_detail.x);
    float under_eye = blob(vec3(2.9, 2.3, 9.3), vec3(1.3, 0.55, 1.5))
                    + 0.6 * blob(vec3(1.7, 3.4, 9.3), vec3(0.5, 0.8, 1.2));
    albedo *= mix(vec3(1.0), vec3(0.86, 0.78, 0.80), clamp(under_eye, 0.0, 1.0));

    float spots = smoothstep(0.74, 0.84, noise(v_rest * 3.1 + 11.0)) * smoothstep(7.0, 10.0, v_rest.z)
                * smoothstep(-5.0, -1.0, v_rest.y);
    albedo *= mix(vec3(1.0), vec3(0.66, 0.52, 0.45), spots * skin_detail.y);

    float lip = smoothstep(-0.05, 0.07, v_paint.x);
    float jaw = smoothstep(0.4, -2.6, v_rest.y + 0.35 * abs(v_rest.x) * step(2.4, abs(v_rest.x)) * 0.5)
              * smoothstep(-10.5, -8.0, v_rest.y) * smoothstep(1.5, 4.5, v_rest.z);
    float moustache = blob(vec3(0.0, -1.95, 11.5), vec3(2.2, 0.7, 1.8));
    float beard = clamp(max(jaw * smoothstep(2.6, 4.2, length(vec2(v_rest.x, v_rest.y + 1.0))), moustache), 0.0, 1.0);
    beard *= (0.55 + 0.45 * noise(v_rest * 9.0)) * (1.0 - lip);
    albedo = mix(albedo, hair_colour * 0.7 + albedo * 0.12, beard * skin_detail.z);

    albedo = mix(albedo, lip_colour * (0.92 + 0.16 * noise(vec3(v_rest.x * 9.0, v_rest.y * 2.0, 0.0))), lip);
    float lash_line = smoothstep(0.16, 0.02, v_paint.y) * mix(0.35, 0.65, smoothstep(3.1, 3.6, v_rest.y));
    albedo *= 1.0 - lash_line;
    albedo = mix(albedo, brow_colour, brow());

    float strands = noise(vec3(v_rest.xz * 3.5, v_rest.y * 1.2));
    float hair = smoothstep(-0.35, 0.35, v_paint.z + hair_cover + (strands - 0.5) * 0.9);
    if (hair_cover < -50.0) hair = 0.0;
    albedo = mix(albedo, hair_colour * (0.6 + 0.8 * strands), hair);
    gloss = mix(mix(0.16 + 0.10 * fine, 0.40, lip), 0.12, hair);
    float collar = smoothstep(-0.03, 0.03, -11.3 - 0.10 * v_rest.z - v_rest.y);
    albedo = mix(albedo, cloth(), collar);
    gloss *= 1.0 - collar;
    return albedo;
}

Surface surface() {
    if (v_part == 7) return Surface(cloth(), 0.0, 18.0, 0.25, clamp(1.0 - 4.0 * v_cavity, 0.25, 1.12), vec3(1.0), 1.0);
    float gloss;
    vec3 albedo = skin_albedo(gloss);
    float occlusion = clamp(1.0 - 4.0 * v_cavity, 0.25, 1.12);
    float from_nostril = length(vec2(abs(v_rest.x) - 0.55, (v_rest.y + 1.05) * 1.6)) + step(v_rest.z, 9.5);
    occlusion *= mix(0.55, 1.0, smoothstep(-0.1, 1.0, from_nostril));
    occlusion *= 1.0 - 0.45 * blob(vec3(0.0, -9.8, 4.0), vec3(6.0, 2.2, 5.0));      // under the chin
    occlusion *= 1.0 - 0.30 * blob(vec3(2.2, 4.3, 9.2), vec3(1.2, 0.8, 1.2));       // beside the root of the nose
    return Surface(albedo, gloss, 18.0, 0.25, occlusion, vec3(1.0, 0.93, 0.90), 1.0);
}
"""

_EYE = """
uniform vec3 iris_colour;
uniform vec3 eye_centre;        // cm, the left one of the generic head
uniform vec3 eye_axis;          // the left pupil's direction at rest

vec3 eye_albedo() {
    float side = sign(v_rest.x);
    vec3 d = normalize((v_rest - vec3(side * eye_centre.x, eye_centre.yz)) * vec3(side, 1.0, 1.0));
    float angle = acos(clamp(dot(d, eye_axis), -1.0, 1.0));             // radians from the pupil's middle
    float spoke = atan(d.y - eye_axis.y, d.x - eye_axis.x);
    vec3 white = vec3(0.80, 0.76, 0.73) * (1.0 - 0.45 * smoothstep(0.45, 1.15, angle));
    white = mix(white, vec3(0.62, 0.30, 0.26), 0.35 * smoothstep(0.75, 1.25, angle));
    float ray = noise(vec3(spoke * 7.0, angle * 6.0, 1.0));
    vec3 iris = iris_colour * (0.65 + 0.7 * ray) * mix(1.35, 0.75, smoothstep(0.15, 0.38, angle));
    iris *= mix(1.0, 0.25, smoothstep(0.31, 0.40, angle));               // limbal ring
    vec3 albedo = mix(iris, white, smoothstep(0.385, 0.425, angle));
    return mix(vec3(0.008), albedo, smoothstep(0.135, 0.165, angle));
}

Surface surface() {
    float lid_shadow = mix(1.0, 0.55, smoothstep(0.15, 0.75, v_rest.y - eye_centre.y));
    return Surface(eye_albedo(), 1.6, 160.0, 0.35, lid_shadow, vec3(1.0), 1.0);
}
"""

_INSIDE = """
Surface surface() {
    float depth = smoothstep(3.0, 11.0, v_rest.z);
    if (v_part == 4) {
        float front = smoothstep(6.0, 11.5, v_rest.z) * 0.85;
        return Surface(vec3(0.78, 0.72, 0.62), 0.5, 60.0, 0.25, front, vec3(1.0), 1.0);
    }
    if (v_part == 6) {
        float upper = smoothstep(2.9, 3.3, v_rest.y);
        float cover = smoothstep(0.75, 0.0, v_paint.y) * mix(0.08, 0.28, upper);
        return Surface(vec3(0.02, 0.015, 0.012), 0.0, 18.0, 0.25, 1.0, vec3(1.0), cover);
    }
    if (v_part == 2) return Surface(vec3(0.25, 0.10, 0.09), 0.1, 18.0, 0.25, 0.35, vec3(1.0), 1.0);
    return Surface(vec3(0.36, 0.10, 0.10), 0.1, 18.0, 0.25, depth * 0.6 + 0.02, vec3(1.0), 1.0);
}
"""

_LIGHT = """
void main() {
    Surface s = surface();
    vec3 n = normalize(v_normal), to_eye = normalize(-v_position);
    float facing = dot(n, light_direction);
    float lit = clamp((facing + s.soft) / (1.0 + s.soft), 0.0, 1.0);
    vec3 key = light_colour * mix(pow(vec3(lit), 1.0 / s.blood), vec3(lit), 0.5);
    vec3 ambient = mix(ground_colour, sky_colour, 0.5 + 0.5 * n.y);
    vec3 half_way = normalize(light_direction + to_eye);
    float rim = 0.04 + 0.96 * pow(1.0 - clamp(dot(half_way, to_eye), 0.0, 1.0), 5.0);
    float glint = pow(clamp(dot(n, half_way), 0.0, 1.0), s.shine) * step(0.0, facing);
    glint *= 6.0 * rim * s.gloss * s.occlusion;
    vec3 room = ambient * s.occlusion * s.occlusion;
    colour = vec4(to_srgb(s.albedo * (key * mix(s.occlusion, 1.0, 0.35) + room) + glint * light_colour), s.alpha);
}
"""

SURFACES = {"skin": _SKIN, "eye": _EYE, "inside": _INSIDE}


def head_fragment(surface: str) -> str:
    """The fragment program of one of ``SURFACES``."""
    return _COMMON + SURFACES[surface] + _LIGHT


WALL_VERTEX = """
#version 330
out vec2 place;       // 0-1 from the top left
void main() {
    vec2 corner = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
    place = corner;
    gl_Position = vec4(corner * 2.0 - 1.0, 0.99999, 1.0);
}
"""

WALL_FRAGMENT = """
#version 330
in vec2 place;
uniform vec3 upper_colour;
uniform vec3 lower_colour;
uniform vec4 patch_place[4];   // out-of-focus shapes: middle x, y, half width, half height
uniform vec3 patch_colour[4];
out vec4 colour;
void main() {
    vec3 c = mix(upper_colour, lower_colour, smoothstep(0.0, 1.0, place.y));
    for (int i = 0; i < 4; ++i) {
        vec2 d = abs(place - patch_place[i].xy) - patch_place[i].zw;
        float inside = smoothstep(0.05, -0.05, d.x) * smoothstep(0.08, -0.08, d.y);
        c = mix(c, patch_colour[i], inside);
    }
    vec2 from_middle = place - 0.5;
    c *= 1.0 - 0.35 * dot(from_middle, from_middle);
    colour = vec4(pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
"""
