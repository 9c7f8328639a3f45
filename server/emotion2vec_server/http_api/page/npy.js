// Float32 arrays as NumPy's .npy files, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

const PREAMBLE = 10; // magic, version, length of the header
const ALIGNMENT = 64;

export function npyOf({ shape, values }) {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((PREAMBLE + description.length + 1) / ALIGNMENT) * ALIGNMENT - PREAMBLE;
  const header = `${description.padEnd(length - 1)}\n`;
  const preamble = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, length & 0xff, length >> 8]);
  return new Blob([preamble, header, values], { type: "application/octet-stream" });
}
