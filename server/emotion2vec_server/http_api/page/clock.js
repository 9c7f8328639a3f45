// Times as they are read: "1.28", "1:05", "1:02:07".

const MINUTE = 60, HOUR = 3600;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/** "m:ss" or "h:mm:ss", with `digits` after the second. */
export function clock(time, digits = 0) {
  const scale = 10 ** digits;
  const total = Math.floor(time * scale + 1e-6) / scale;
  const hours = Math.floor(total / HOUR);
  const minutes = Math.floor((total % HOUR) / MINUTE);
  const seconds = (total % MINUTE).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** How long something is or took: "140 ms", "9.7 s", "4:50". */
export function spanText(seconds) {
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  return seconds < MINUTE ? `${seconds.toFixed(1)} s` : clock(seconds);
}

/** {step, digits}: seconds between two marks so that they stand at least `gap` pixels apart. */
export function stepOf(secondsPerPixel, gap) {
  const step = STEPS.find((step) => step / secondsPerPixel >= gap) ?? STEPS.at(-1);
  return { step, digits: step < 1 ? 1 : 0 };
}
