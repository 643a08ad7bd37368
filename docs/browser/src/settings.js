/**
 * What the package's own modules are set to. The repository's tests compare each with the Python
 * constant named behind it: change both or neither.
 */

// kd_landmarks/imaging/yunet.py
export const SMALLEST_PICTURE = 128; // LEVELS[0]
export const FINEST_PICTURE = 1280; // LEVELS[1]
export const SMALLEST_SIDE = 64; // SMALLEST_SIDE
export const MIN_SCORE = 0.6; // MIN_SCORE
export const HINT = 0.2; // HINT
export const SMALL = 24; // SMALL
export const BEST = 80; // BEST
export const SAME_FACE = 0.6; // SAME_FACE
export const MAX_OVERLAP = 0.3; // MAX_OVERLAP
export const SURE = 0.87; // SURE
export const TURNED_SIDE = 160; // TURNED_SIDE
export const SAME_TURNED = 0.3; // SAME_TURNED
export const TURNS = [45, 90, 135, 180, 225, 270, 315]; // TURNS

// kd_landmarks/imaging/detection.py
export const FOREHEAD = 0.25; // FOREHEAD
export const SMALLEST_BOX = 2; // SMALLEST_BOX

// kd_landmarks/inference/upright.py
export const TURNED = 20; // TURNED
export const ASIDE = 0.15; // ASIDE
export const DOUBTFUL = 0.7; // DOUBTFUL
export const SURER = 0.05; // SURER
export const FARTHEST = 3; // FARTHEST
export const LOOKS = 2; // LOOKS

// kd_landmarks/inference/confidence.py
export const MIN_CONFIDENCE = 0.65; // MIN_CONFIDENCE
export const LEAST_SPREAD = 0.001; // _LEAST_SPREAD

// kd_landmarks/inference/tracking.py
export const TRACK_OVERLAP = 0.3; // TRACK_OVERLAP
export const STRAYED = 0.6; // STRAYED

// kd_landmarks/inference/smoothing.py
export const SPEED_CUTOFF = 1; // SPEED_CUTOFF
export const STEADINESS = 0.25; // Smoothing.steadiness
export const FOLLOW = 12; // Smoothing.follow
