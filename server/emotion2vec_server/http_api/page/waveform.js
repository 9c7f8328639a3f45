// Draws a waveform.

/** Into `box` {top, height}; one line a pixel, full height for the loudest sample. */
export function drawWaveform(context, peaks, view, box, color) {
  const middle = box.top + box.height / 2;
  const scale = box.height / 2 / Math.max(peaks.loudest, 800);
  context.fillStyle = color;
  for (let pixel = 0; pixel < view.width; pixel++) {
    const from = view.start + pixel * view.secondsPerPixel;
    const found = peaks.between(from, from + view.secondsPerPixel);
    if (!found) continue;
    const high = middle - found[1] * scale, low = middle - found[0] * scale;
    context.fillRect(pixel, high, 1, Math.max(low - high, 1));
  }
}
