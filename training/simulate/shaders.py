"""The GLSL programs of :mod:`training.simulate.render`: how skin, eyes, hair, cloth, wear and wall are painted and lit.

What is painted on the skin does not move on it, so it is painted once per person into two maps (``PAINT_*``): colour
and gloss, and the places of wrinkles. A map's point is an angle round the head and a height on the generic head at rest
(cm), so that paint moves with the skin and every identity gets its features in the right places. Drawing a picture then
takes two look-ups a point, which is what makes it quick without a graphics card. A software renderer also computes
every branch of a program for every point, so each kind of surface has a program of its own.

Colours are linear RGB to the last line; the colour map holds their square roots, which keeps dark tones apart.
"""

#: size of the painted maps; half a millimetre at the front of the face
MAP_WIDTH, MAP_HEIGHT = 640, 448

#: Where each unit's wrinkles are kept: the order of the uniforms ``fold_left`` and ``fold_right``.
FOLDS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU15", "AU17")

_MAP_PLACE = """
// 0-1 round the head (0.5 in front, finer there) and from the shoulders to the crown
vec2 map_place(vec3 rest) {
    float w = atan(rest.x, rest.z - 1.0) / 3.14159265;
    return vec2(0.5 + 0.5 * w * (1.5 - 0.5 * w * w), (rest.y + 14.0) / 28.6);
}
"""

_TURN = """
uniform mat4 camera;
uniform vec4 turn;     // axis, angle of the head's turn
uniform vec3 pivot;    // cm, where the neck turns
uniform vec3 offset;   // cm, where the person sits

vec3 turned(vec3 p, float angle) {
    return p * cos(angle) + cross(turn.xyz, p) * sin(angle) + turn.xyz * dot(turn.xyz, p) * (1.0 - cos(angle));
}
"""

SKIN_VERTEX = (
    """
#version 330
in vec3 position;      // cm, this person with this expression
in vec3 normal;
in vec3 rest;          // cm, the generic head at rest: where the paint goes
in vec3 paint;         // signed distance inside the lips, distance to the lash line, inside the hair; cm
in float shade;        // share of the room's light that gets to this place of a head
in float cavity;       // > 0 in folds
"""
    + _TURN
    + _MAP_PLACE
    + """
uniform float hair_length;
uniform vec3 band;         // a hair band's lower and upper edge, cm above its middle plane; its thickness, cm
uniform float fold_left[10], fold_right[10];    // how deep each unit's wrinkles are now, 0-1, as in FOLDS
out vec3 v_position;
out vec3 v_normal;
out vec2 v_map;
out vec2 v_paint;
out vec4 v_fold;
out float v_occlusion;

float fold(int unit) { return mix(fold_right[unit], fold_left[unit], smoothstep(-0.5, 0.5, rest.x)); }

void main() {
    vec3 place = position;
    float height = rest.y - 5.3 - 0.36 * rest.z;
    float under = smoothstep(band.x - 0.05, band.x + 0.3, height) * smoothstep(band.y + 0.05, band.y - 0.3, height);
    place += normal * mix(hair_length * smoothstep(0.0, 2.5, paint.z), band.z, under);
    // the neck follows the head less and less on its way down to the shoulders, which stay
    float angle = turn.w * smoothstep(-14.5, -8.0, rest.y);
    v_position = turned(place - pivot, angle) + pivot + offset;
    v_normal = turned(normal, angle);
    v_map = map_place(rest);
    v_paint = paint.xy;
    v_occlusion = clamp(1.0 - 4.0 * cavity, 0.25, 1.12) * shade;
    float x = abs(rest.x), y = rest.y;
    float under_eye = mix(fold(3), max(fold(4), 0.6 * fold(3)), smoothstep(2.0, 2.4, y));
    float beside_mouth = max(fold(7), max(fold(6), 0.5 * fold(5)) * smoothstep(-3.4, -1.2, y));
    v_fold = vec4(
        mix(fold(0), fold(1), smoothstep(1.8, 4.0, x)),
        mix(max(fold(9), 0.6 * fold(8)), fold(2), smoothstep(-4.0, 4.0, y)),
        mix(fold(5), fold(3), smoothstep(2.6, 3.6, x)),
        mix(beside_mouth, under_eye, smoothstep(0.5, 1.1, y)));
    gl_Position = camera * vec4(v_position, 1.0);
}
"""
)

PART_VERTEX = (
    """
#version 330
in vec3 position;
in vec3 normal;
in vec3 rest;
in vec3 paint;
in float part;
"""
    + _TURN
    + """
out vec3 v_position;
out vec3 v_normal;
out vec3 v_rest;
out vec3 v_paint;
flat out int v_part;

void main() {
    v_part = int(part + 0.5);
    float angle = v_part == 7 ? 0.0 : turn.w;
    v_position = turned(position - pivot, angle) + pivot + offset;
    v_normal = turned(normal, angle);
    v_rest = rest;
    v_paint = paint;
    gl_Position = camera * vec4(v_position, 1.0);
}
"""
)

WEAR_VERTEX = (
    """
#version 330
in vec3 position;
in vec3 normal;
in vec4 tint;          // linear colour, opacity
in vec4 finish;        // gloss, sharpness of the highlight, how much of the room is mirrored, cm drawn in front
"""
    + _TURN
    + """
out vec3 v_position;
out vec3 v_normal;
out vec4 v_tint;
out vec3 v_finish;

void main() {
    v_position = turned(position - pivot, turn.w) + pivot + offset;
    v_normal = turned(normal, turn.w);
    v_tint = tint;
    v_finish = finish.xyz;
    gl_Position = camera * vec4(v_position, 1.0);
    // the depth of a point a little nearer: what lies on skin never sinks into it
    vec4 nearer = camera * vec4(v_position * (1.0 - finish.w / length(v_position)), 1.0);
    gl_Position.z = nearer.z / nearer.w * gl_Position.w;
}
"""
)

#: parts of the mesh, as the vertex attribute ``part``
SKIN, MOUTH, SOCKET, GUMS, TEETH, EYE, LASHES, CLOTH = range(8)

_NOISE = """
uniform sampler3D random_values;

vec4 noises(vec3 p) {           // four smooth ones, 0-1; they repeat after 32
    vec3 cell = floor(p), f = p - cell;
    return texture(random_values, (cell + f * f * (3.0 - 2.0 * f) + 0.5) / 32.0);
}

float noise(vec3 p) { return noises(p).r; }
"""

_LIGHT = """
uniform vec3 light_direction;   // toward the light
uniform vec3 light_colour;
uniform vec3 sky_colour;        // ambient light from above, from below
uniform vec3 ground_colour;

// sRGB by roots, which are quicker than powers and off by less than 0.005 above black
vec3 to_srgb(vec3 linear) {
    vec3 c = clamp(linear, 0.0, 1.0), root = sqrt(c), fourth = sqrt(root);
    return clamp(0.674 * root + 0.668 * fourth - 0.316 * sqrt(fourth) - 0.026 * c, 0.0, 1.0);
}

float fresnel(float facing) {
    float c = 1.0 - clamp(facing, 0.0, 1.0), square = c * c;
    return 0.04 + 0.96 * square * square * c;
}

// albedo, occlusion: share of the room's light that gets in; soft: how far light creeps round the edge
vec3 lit(vec3 albedo, vec3 n, float soft, float occlusion, vec3 highlight, vec3 blood) {
    float facing = clamp((dot(n, light_direction) + soft) / (1.0 + soft), 0.0, 1.0);
    vec3 key = light_colour * facing * (1.0 - blood * (1.0 - facing));
    vec3 room = mix(ground_colour, sky_colour, 0.5 + 0.5 * n.y) * occlusion * occlusion;
    return to_srgb(albedo * (key * mix(occlusion, 1.0, 0.35) + room) + highlight * light_colour);
}
"""

SKIN_FRAGMENT = (
    """
#version 330
in vec3 v_position;
in vec3 v_normal;
in vec2 v_map;
in vec2 v_paint;
in vec4 v_fold;
in float v_occlusion;
uniform sampler2D colour_map;
uniform sampler2D wrinkle_map;
uniform vec3 lip_colour;
out vec4 colour;
"""
    + _LIGHT
    + """
void main() {
    vec4 painted = texture(colour_map, v_map);
    vec3 albedo = painted.rgb * painted.rgb;
    float lip = smoothstep(-0.05, 0.07, v_paint.x);
    albedo = mix(albedo, lip_colour * (0.8 + painted.a), lip);
    albedo *= 1.0 - smoothstep(0.16, 0.02, v_paint.y) * 0.5;

    // wrinkles tilt the normal by the slope of their depth over the drawn surface
    float depth = dot(texture(wrinkle_map, v_map), v_fold);
    vec3 n = normalize(v_normal);
    vec3 right = dFdx(v_position), down = dFdy(v_position);
    vec3 over = cross(down, n), along = cross(n, right);
    float area = dot(right, over);
    float height = -0.12 * depth;
    vec3 slope = sign(area) * (dFdx(height) * over + dFdy(height) * along);
    n = normalize(max(abs(area), 1e-9) * n - slope);
    float occlusion = v_occlusion * (1.0 - 0.35 * clamp(depth, 0.0, 1.0));
    albedo *= 1.0 - 0.22 * clamp(depth, 0.0, 1.0);

    vec3 half_way = normalize(light_direction + normalize(-v_position));
    float glint = clamp(dot(n, half_way), 0.0, 1.0) * step(0.0, dot(n, light_direction));
    glint *= glint; glint *= glint; glint *= glint; glint *= glint;
    glint *= 6.0 * fresnel(dot(half_way, normalize(-v_position))) * mix(painted.a, 0.4, lip) * occlusion;
    colour = vec4(lit(albedo, n, 0.25, occlusion, vec3(glint), vec3(0.0, 0.06, 0.09)), 1.0);
}
"""
)

PAINT_VERTEX = (
    """
#version 330
in vec3 rest;
in vec3 paint;
"""
    + _MAP_PLACE
    + """
out vec3 v_rest;
out vec3 v_paint;
void main() {
    v_rest = rest;
    v_paint = paint;
    float out_by = length(vec2(rest.x, rest.z - 1.0));      // of what lies at one place, the outermost is painted
    gl_Position = vec4(map_place(rest) * 2.0 - 1.0, 1.0 - out_by / 10.0, 1.0);
}
"""
)

_PAINT = (
    """
#version 330
in vec3 v_rest;
in vec3 v_paint;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec4 wrinkles;
uniform vec3 skin_colour;
uniform vec3 brow_colour;
uniform vec3 hair_colour;
uniform vec3 cloth_colour;
uniform vec3 band_colour;
uniform vec3 band;
uniform vec3 person;            // where in the noise this person's skin is cut from
uniform vec4 brow_curve;        // height of the brow over |x|: cubic, cm
uniform vec3 brow_shape;        // thickness cm, density 0-1, lift of the tail cm
uniform vec4 skin_detail;       // redness, freckles, stubble, mottling; 0-1
uniform float hair_cover;       // cm the hairline is moved down
uniform vec4 forehead_lines;    // lowest cm, spacing cm, width cm, bow
uniform vec4 frown_lines;       // from the middle cm, slope, width cm, depth of one in the middle
uniform vec4 nose_lines;        // lowest cm, spacing cm, width cm, how far down the sides cm
uniform vec4 eye_lines;         // spacing rad, first rad, width cm, length cm
uniform vec4 mouth_lines;       // further out cm, width cm, bend, depth of the furrow under the eye
"""
    + _NOISE
    + """
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
    float hairs = noise(person + vec3(x * 7.0 - v_rest.y * 5.0, v_rest.y * 2.5 + x * 1.5, 3.0));
    float edge = smoothstep(1.25, 0.45, abs(across)) * smoothstep(0.0, 0.12, along);
    return edge * mix(1.0, smoothstep(0.15, 0.6, hairs), 0.30) * brow_shape.y;
}

vec4 skin(vec4 coarse, vec4 grain) {
    float fine = grain.r, middle = coarse.r, wide = noise((v_rest + person) * 0.45 + 7.0);
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

    float spots = smoothstep(0.70, 0.80, grain.g) * (0.5 + coarse.a) * smoothstep(7.0, 10.0, v_rest.z)
                * smoothstep(-5.0, -1.0, v_rest.y);
    albedo *= mix(vec3(1.0), vec3(0.66, 0.52, 0.45), spots * skin_detail.y);

    float jaw = smoothstep(0.4, -2.6, v_rest.y + 0.35 * abs(v_rest.x) * step(2.4, abs(v_rest.x)) * 0.5)
              * smoothstep(-10.5, -8.0, v_rest.y) * smoothstep(1.5, 4.5, v_rest.z);
    float moustache = blob(vec3(0.0, -1.95, 11.5), vec3(2.2, 0.7, 1.8));
    float beard = clamp(max(jaw * smoothstep(2.6, 4.2, length(vec2(v_rest.x, v_rest.y + 1.0))), moustache), 0.0, 1.0);
    beard *= 0.55 + 0.45 * grain.b;
    albedo = mix(albedo, hair_colour * 0.7 + albedo * 0.12, beard * skin_detail.z);
    albedo = mix(albedo, brow_colour, brow());

    float strands = noise(person + vec3(v_rest.xz * 3.5, v_rest.y * 1.2));
    float hair = smoothstep(-0.35, 0.35, v_paint.z + hair_cover + (strands - 0.5) * 0.9);
    if (hair_cover < -50.0) hair = 0.0;
    albedo = mix(albedo, hair_colour * (0.6 + 0.8 * strands), hair);
    float gloss = mix(0.16 + 0.10 * fine, 0.12, hair);

    float height = v_rest.y - 5.3 - 0.36 * v_rest.z;
    float under = smoothstep(band.x, band.x + 0.06, height) * smoothstep(band.y, band.y - 0.06, height);
    float weave = 0.86 + 0.2 * grain.a - 0.25 * smoothstep(0.35, 0.0, height - band.x);
    albedo = mix(albedo, band_colour * weave, under);
    gloss *= 1.0 - under;
    float collar = smoothstep(-0.03, 0.03, -11.3 - 0.10 * v_rest.z - v_rest.y);
    float thread = 0.75 + coarse.b * 0.35 + grain.b * 0.12;
    return vec4(mix(albedo, cloth_colour * thread, collar), gloss * (1.0 - collar));
}

"""
)

_PAINT_FOLDS = """
float line(float off, float width) { return exp(-off * off / (width * width)); }
float between(float low, float high, float soft, float v) {
    return smoothstep(low - soft, low + soft, v) * smoothstep(high + soft, high - soft, v);
}

float hash(float a, float b) { return fract(sin(a * 12.99 + b * 78.23 + person.x * 3.7) * 4375.85); }

// one of many lines at even steps, each of a strength of its own: distance from it and its strength
vec2 lines(float v, float spacing, float kind) {
    float count = floor(v / spacing + 0.5);
    return vec2(v - count * spacing, smoothstep(0.1, 0.6, hash(count, kind)));
}

// how deep the skin of this place can fold: forehead; frown and chin; nose and eye corner; lower lid and mouth
vec4 folds(vec4 coarse, vec4 grain) {
    float x = abs(v_rest.x), y = v_rest.y;
    float wave = coarse.g - 0.5, ragged = grain.a;

    vec2 across = lines(y - forehead_lines.x - forehead_lines.w * 0.03 * x * x + 0.55 * wave, forehead_lines.y, 3.0);
    float forehead = line(across.x, forehead_lines.z) * across.y * mix(0.5, 1.0, ragged)
                   * between(6.9, 9.7, 0.5, y) * smoothstep(5.6, 3.4, x);

    float own_side = 0.25 * (hash(sign(v_rest.x), 9.0) - 0.5);
    float off = x - frown_lines.x - own_side - frown_lines.y * (y - 5.6) + 0.35 * wave;
    float frown = line(off, frown_lines.z) + frown_lines.w * line(v_rest.x + own_side + 0.4 * wave, frown_lines.z);
    frown *= between(4.6, 7.0, 0.5, y + wave) * smoothstep(1.9, 1.3, x);
    float chin = smoothstep(0.5, 0.75, ragged) * 0.6 * blob(vec3(0.0, -6.2, 11.0), vec3(1.8, 1.1, 3.0));

    vec2 root = lines(y - nose_lines.x + 0.25 * x * x + 0.3 * wave, nose_lines.y, 5.0);
    float nose = line(root.x, nose_lines.z) * root.y * between(3.0, 4.7, 0.3, y) * smoothstep(1.2, 0.7, x);
    vec2 bunny = lines(0.75 * y + 0.65 * x - 2.1 + 0.3 * wave, nose_lines.y * 0.8, 6.0);
    nose += line(bunny.x, nose_lines.z) * bunny.y
          * between(3.3 - nose_lines.w, 3.2, 0.3, y) * between(0.7, 1.7, 0.2, x);
    vec2 out_from = vec2(x - 4.1 + 0.7 * max(8.2 - v_rest.z, 0.0), y - 3.35);
    float far = length(out_from);
    vec2 ray = lines(atan(out_from.y, max(out_from.x, 0.01)) - eye_lines.y + 0.35 * wave, eye_lines.x, 7.0);
    float corner = line(ray.x * far, eye_lines.z) * ray.y * between(0.9, 0.9 + eye_lines.w, 0.3, far)
                 * step(4.2, x) * between(-0.95, 0.75, 0.2, ray.x + out_from.y / max(far, 0.3));

    float down = clamp((-0.2 - y) / 3.6, 0.0, 1.2);
    float beside = 1.75 + mouth_lines.x + 2.0 * down - mouth_lines.z * 0.8 * down * (down - 1.0) + 0.3 * wave;
    float mouth = line((x - beside) * 0.8, mouth_lines.y * mix(1.0, 0.7, down)) * between(-4.3, 0.1, 0.35, y);
    float lid_y = 2.5 + 0.2 * (x - 2.9) * (x - 2.9) + 0.2 * wave;
    float lid = line(y - lid_y, 0.10) * between(1.9, 4.3, 0.3, x) * step(2.2, y);
    float furrow_y = 2.35 - 0.62 * (x - 1.5) + 0.13 * (x - 1.5) * (x - 1.5) + 0.3 * wave;
    float furrow = mouth_lines.w * line(y - furrow_y, 0.2) * between(1.6, 3.9, 0.4, x) * step(0.9, y);
    return vec4(forehead, frown + chin, nose + corner, mouth + max(lid, furrow) * step(0.8, y));
}

"""

_PAINT_MAIN = """
void main() {
    vec3 at = v_rest + person;
    vec4 coarse = noises(at * 1.1), grain = noises(at * 4.6);
    vec4 painted = skin(coarse, grain);
    colour = vec4(sqrt(clamp(painted.rgb, 0.0, 1.0)), painted.a);
    wrinkles = clamp(folds(coarse, grain), 0.0, 1.0);
}
"""

PAINT_FACE_FRAGMENT = _PAINT + _PAINT_FOLDS + _PAINT_MAIN
PAINT_REST_FRAGMENT = _PAINT + "vec4 folds(vec4 coarse, vec4 grain) { return vec4(0.0); }" + _PAINT_MAIN

_PART_INPUT = (
    """
#version 330
in vec3 v_position;
in vec3 v_normal;
in vec3 v_rest;
in vec3 v_paint;
flat in int v_part;
out vec4 colour;
"""
    + _LIGHT
    + _NOISE
)

EYE_FRAGMENT = (
    _PART_INPUT
    + """
uniform vec3 iris_colour;
uniform vec3 eye_centre;        // cm, the left one of the generic head
uniform vec3 eye_axis;          // the left pupil's direction at rest
uniform float eye_redness;

vec3 eye_albedo() {
    float side = sign(v_rest.x);
    vec3 d = normalize((v_rest - vec3(side * eye_centre.x, eye_centre.yz)) * vec3(side, 1.0, 1.0));
    float angle = acos(clamp(dot(d, eye_axis), -1.0, 1.0));             // radians from the pupil's middle
    float spoke = atan(d.y - eye_axis.y, d.x - eye_axis.x);
    vec3 white = vec3(0.80, 0.76, 0.73) * (1.0 - 0.45 * smoothstep(0.45, 1.15, angle));
    white = mix(white, vec3(0.62, 0.30, 0.26), (0.2 + 0.6 * eye_redness) * smoothstep(0.75, 1.25, angle));
    white *= 1.0 - vec3(0.0, 0.25, 0.22) * eye_redness * smoothstep(0.4, 0.8, noise(d * vec3(3.0, 14.0, 3.0)));
    float ray = noise(vec3(spoke * 7.0, angle * 6.0, 1.0));
    vec3 iris = iris_colour * (0.65 + 0.7 * ray) * mix(1.35, 0.75, smoothstep(0.15, 0.38, angle));
    iris *= mix(1.0, 0.25, smoothstep(0.31, 0.40, angle));               // limbal ring
    vec3 albedo = mix(iris, white, smoothstep(0.385, 0.425, angle));
    return mix(vec3(0.008), albedo, smoothstep(0.135, 0.165, angle));
}

void main() {
    float lid_shadow = mix(1.0, 0.55, smoothstep(0.15, 0.75, v_rest.y - eye_centre.y));
    vec3 n = normalize(v_normal), to_eye = normalize(-v_position), half_way = normalize(light_direction + to_eye);
    float glint = pow(clamp(dot(n, half_way), 0.0, 1.0), 160.0) * step(0.0, dot(n, light_direction));
    glint *= 9.6 * fresnel(dot(half_way, to_eye)) * lid_shadow;
    colour = vec4(lit(eye_albedo(), n, 0.35, lid_shadow, vec3(glint), vec3(0.0)), 1.0);
}
"""
)

INSIDE_FRAGMENT = (
    _PART_INPUT
    + """
void main() {
    vec3 n = normalize(v_normal);
    vec3 albedo = vec3(0.36, 0.10, 0.10);
    float occlusion = smoothstep(3.0, 11.0, v_rest.z) * 0.6 + 0.02;
    if (v_part == 4) {
        albedo = vec3(0.78, 0.72, 0.62);
        occlusion = smoothstep(6.0, 11.5, v_rest.z) * 0.85;
    }
    if (v_part == 2) {
        albedo = vec3(0.25, 0.10, 0.09);
        occlusion = 0.35;
    }
    colour = vec4(lit(albedo, n, 0.25, occlusion, vec3(0.0), vec3(0.0)), 1.0);
}
"""
)

LASHES_FRAGMENT = (
    _PART_INPUT
    + """
void main() {
    float cover = smoothstep(0.75, 0.0, v_paint.y) * mix(0.08, 0.28, smoothstep(2.9, 3.3, v_rest.y));
    colour = vec4(lit(vec3(0.02, 0.015, 0.012), normalize(v_normal), 0.25, 1.0, vec3(0.0), vec3(0.0)), cover);
}
"""
)

CLOTH_FRAGMENT = (
    _PART_INPUT
    + """
uniform vec3 cloth_colour;
void main() {
    float thread = 0.75 + noise(v_rest * vec3(1.2, 0.5, 1.2)) * 0.35 + noise(v_rest * 9.0) * 0.12;
    colour = vec4(lit(cloth_colour * thread, normalize(v_normal), 0.25, 1.0, vec3(0.0), vec3(0.0)), 1.0);
}
"""
)

WEAR_FRAGMENT = (
    """
#version 330
in vec3 v_position;
in vec3 v_normal;
in vec4 v_tint;
in vec3 v_finish;
out vec4 colour;
"""
    + _LIGHT
    + """
void main() {
    vec3 n = normalize(v_normal), to_eye = normalize(-v_position), half_way = normalize(light_direction + to_eye);
    if (dot(n, to_eye) < 0.0) n = -n;
    float glint = pow(clamp(dot(n, half_way), 0.0, 1.0), v_finish.y) * v_finish.x;
    glint *= 6.0 * fresnel(dot(half_way, to_eye));
    // a bright window high on one side is mirrored
    vec3 back = reflect(-to_eye, n);
    float window = smoothstep(0.02, 0.12, back.y) * smoothstep(0.45, 0.3, back.y)
                 * smoothstep(-0.05, 0.05, back.x + 0.1) * smoothstep(0.4, 0.3, back.x);
    float mirrored = v_finish.z * (fresnel(dot(n, to_eye)) + 0.8 * window);
    vec3 shown = lit(v_tint.rgb, n, 0.15, 1.0, vec3(glint), vec3(0.0));
    float share = clamp(v_tint.a + glint + mirrored, 0.0, 1.0);
    colour = vec4(mix(shown, vec3(0.95), mirrored / max(share, 1e-3)), share);
}
"""
)

#: vertex and fragment program of each kind of surface
SURFACES = {
    "skin": (SKIN_VERTEX, SKIN_FRAGMENT),
    "cloth": (PART_VERTEX, CLOTH_FRAGMENT),
    "eye": (PART_VERTEX, EYE_FRAGMENT),
    "inside": (PART_VERTEX, INSIDE_FRAGMENT),
    "lashes": (PART_VERTEX, LASHES_FRAGMENT),
}

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
uniform int patch_count;
out vec4 colour;
void main() {
    vec3 c = mix(upper_colour, lower_colour, smoothstep(0.0, 1.0, place.y));
    for (int i = 0; i < patch_count; ++i) {
        vec2 d = abs(place - patch_place[i].xy) - patch_place[i].zw;
        float inside = smoothstep(0.05, -0.05, d.x) * smoothstep(0.08, -0.08, d.y);
        c = mix(c, patch_colour[i], inside);
    }
    vec2 from_middle = place - 0.5;
    c *= 1.0 - 0.35 * dot(from_middle, from_middle);
    colour = vec4(pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
"""

#: The wall does not change with the face: painted once per person, small, since it is out of focus.
BACKDROP_FRAGMENT = """
#version 330
in vec2 place;
uniform sampler2D wall_map;
out vec4 colour;
void main() { colour = vec4(texture(wall_map, place).rgb, 1.0); }
"""
