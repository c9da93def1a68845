// Whether a server that died is started again, and after how long.

/** So many deaths within this time are a fault that starting again does not mend. */
const MOST = 4;
const WITHIN_MS = 180_000;
const FIRST_WAIT_MS = 250;

export class Crashes {
  private times: number[] = [];

  /** A server died at `now` (milliseconds). How long to wait until it is started again; undefined: not at all. */
  next(now: number): number | undefined {
    this.times = [...this.times.filter((time) => now - time < WITHIN_MS), now];
    if (this.times.length > MOST) return undefined;
    return FIRST_WAIT_MS * 4 ** (this.times.length - 1);
  }

  /** The user asks for a new beginning. */
  forget(): void {
    this.times = [];
  }
}
