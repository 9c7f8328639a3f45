// Draws scores over time as a heat map: a row a label, the more probable the stronger its colour.

import { channelsOf, colorOf } from "./colors.js";

/** `means` as `frames.columnMeans` gives them, into `box` {top, row, gap}. */
export function drawHeatmap(context, labels, means, view, box) {
  const image = new ImageData(view.width, labels.length);
  labels.forEach((label, row) => {
    const [red, green, blue] = channelsOf(colorOf(label, row));
    for (let pixel = 0; pixel < view.width; pixel++) {
      const probability = means[pixel * labels.length + row];
      if (!(probability > 0)) continue;
      image.data.set([red, green, blue, 255 * probability], 4 * (row * view.width + pixel));
    }
  });
  const strip = new OffscreenCanvas(view.width, labels.length);
  strip.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  labels.forEach((_, row) => {
    const top = box.top + row * (box.row + box.gap);
    context.drawImage(strip, 0, row, view.width, 1, 0, top, view.width, box.row);
  });
}
