// One colour an emotion, the same as in the client's terminal and plots
// (emotion2vec_client/command/colors.py). No meaning hangs on colour alone: every row, stretch and
// bar has its label beside it, and how probable a thing is shows in length or lightness.

const ANGRY = "#d1495b", DISGUSTED = "#7a8b3a", FEARFUL = "#8456a8";
const HAPPY = "#edae49", SAD = "#3d6fb4", SURPRISED = "#2fa39a";

const COLORS = {
  angry: ANGRY,
  disgusted: DISGUSTED,
  fearful: FEARFUL,
  happy: HAPPY,
  neutral: "#8d99a6",
  other: "#a0785a",
  sad: SAD,
  surprised: SURPRISED,
  unknown: "#c3c9cf",
  // The same by the names that other checkpoints give them.
  anger: ANGRY,
  disgust: DISGUSTED,
  fear: FEARFUL,
  happiness: HAPPY,
  joy: HAPPY,
  sadness: SAD,
  surprise: SURPRISED,
  // What other corpora have beside these.
  bored: "#8a8fb8",
  calm: "#6f9fc4",
  excited: "#e8894a",
  frustrated: "#b0563f",
  satisfied: "#5fa55a",
};
// For labels that nobody has foreseen, by their place; no red among them, which would be an alarm.
const SPARE = ["#4c956c", "#588b8b", "#b5838d", "#6d597a", "#457b9d", "#9aa05a", "#7fb0a3"];

/** "#rrggbb" of a label; `index` is its place in the model's order. */
export function colorOf(label, index = 0) {
  return COLORS[label.toLowerCase()] ?? SPARE[index % SPARE.length];
}

/** [red, green, blue] of "#rrggbb", 0 to 255 each. */
export function channelsOf(color) {
  return [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));
}
