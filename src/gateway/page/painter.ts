/**
 * Painter: paints the page at most once per frame, and only the views that have changed. Data that arrive in
 * between only change the state. A hidden page has no frames, so it accumulates no work.
 */

export interface View {
  /** Updates the display of the view. */
  paint(): void;
  /** Least time between two paints, for views that nobody can read faster; default: every frame. */
  readonly everyMs?: number;
}

export class Painter {
  private changed = new Set<View>();
  private readonly paintedAtMs = new Map<View, number>();
  private asked = false;

  /** A view has new data to display. */
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
