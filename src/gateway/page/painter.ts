/**
 * Painter: the page is painted at most once a frame, and only what has changed since. What comes in
 * between goes into the state that views paint from, so a hidden page, which has no frames, collects
 * nothing either.
 */

export interface View {
  /** Brings what it shows up to what there is. */
  paint(): void;
  /** At least this long between two paints, where nobody could read more; each frame unless told. */
  readonly everyMs?: number;
}

export class Painter {
  private changed = new Set<View>();
  private readonly paintedAtMs = new Map<View, number>();
  private asked = false;

  /** There is something new to show. */
  mark(view: View): void {
    this.changed.add(view);
    this.ask();
  }

  private ask(): void {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((atMs) => this.paint(atMs));
  }

  private paint(atMs: number): void {
    this.asked = false;
    const { changed, paintedAtMs } = this;
    this.changed = new Set();
    for (const view of changed) {
      const { everyMs = 0 } = view;
      if (everyMs > 0 && atMs - (paintedAtMs.get(view) ?? -everyMs) < everyMs) {
        this.mark(view);
        continue;
      }
      paintedAtMs.set(view, atMs);
      view.paint();
    }
  }
}
