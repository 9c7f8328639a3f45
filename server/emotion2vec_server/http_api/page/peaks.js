// The lowest and highest sample of any stretch of audio, fast enough to draw hours.

const BLOCK = 16; // samples

/** Peaks of 16-bit samples at `rate`, which may go on growing. */
export class Peaks {
  constructor(rate) {
    this.rate = rate;
    this.count = 0;
    this._low = new Int16Array(1024);
    this._high = new Int16Array(1024);
    this._loudest = 1;
  }

  static of(samples, rate) {
    const peaks = new Peaks(rate);
    peaks.add(samples);
    return peaks;
  }

  /** Of all samples, 1 to 32768. */
  get loudest() {
    return this._loudest;
  }

  add(samples) {
    this._makeRoomFor(Math.ceil((this.count + samples.length) / BLOCK));
    for (const sample of samples) {
      const block = Math.floor(this.count / BLOCK);
      const isFirst = this.count % BLOCK === 0;
      if (isFirst || sample < this._low[block]) this._low[block] = sample;
      if (isFirst || sample > this._high[block]) this._high[block] = sample;
      this.count++;
    }
    for (let block = Math.floor((this.count - samples.length) / BLOCK); block * BLOCK < this.count; block++) {
      this._loudest = Math.max(this._loudest, -this._low[block], this._high[block]);
    }
  }

  /** [low, high] from `start` to `end` seconds; null where there is no audio. */
  between(start, end) {
    const first = Math.floor((start * this.rate) / BLOCK);
    const last = Math.max(first + 1, Math.floor((end * this.rate) / BLOCK));
    const blocks = Math.ceil(this.count / BLOCK);
    if (first < 0 || first >= blocks) return null;
    let low = this._low[first], high = this._high[first];
    for (let block = first + 1; block < Math.min(last, blocks); block++) {
      low = Math.min(low, this._low[block]);
      high = Math.max(high, this._high[block]);
    }
    return [low, high];
  }

  _makeRoomFor(blocks) {
    if (blocks <= this._low.length) return;
    const size = Math.max(blocks, 2 * this._low.length);
    const low = new Int16Array(size), high = new Int16Array(size);
    low.set(this._low);
    high.set(this._high);
    [this._low, this._high] = [low, high];
  }
}
