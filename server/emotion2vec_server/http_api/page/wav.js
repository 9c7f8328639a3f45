// 16-bit mono samples, in one piece or in several, as a WAV file.

const HEADER = 44; // bytes

export function wavOf(samples, rate) {
  const pieces = [samples].flat();
  const header = new DataView(new ArrayBuffer(HEADER));
  const write = (offset, text) => [...text].forEach((c, i) => header.setUint8(offset + i, c.charCodeAt(0)));
  const size = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  write(0, "RIFF");
  header.setUint32(4, HEADER - 8 + size, true);
  write(8, "WAVEfmt ");
  header.setUint32(16, 16, true); // bytes of the format that follow
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, rate, true);
  header.setUint32(28, rate * 2, true); // bytes a second
  header.setUint16(32, 2, true); // bytes of a sample of all channels
  header.setUint16(34, 16, true); // bits of a sample
  write(36, "data");
  header.setUint32(40, size, true);
  return new Blob([header, ...pieces], { type: "audio/wav" });
}
