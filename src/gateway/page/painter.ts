/**
 * Painter: the page is painted at most once a frame, and only what has changed since. What comes in
 * between goes into the state that views paint from, so a hidden page, which has no frames, collects
 * nothing either.
 */

export interface View {
  /** Brings what it shows up to what there is. */
  paint(): void;
}

export class Painter {
  private changed = new Set<View>();
  private asked = false;

  /** There is something new to show. */
  mark(view: View): void {
    this.changed.add(view);
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => this.paint());
  }

  private paint(): void {
    this.asked = false;
    const { changed } = this;
    this.changed = new Set();
    for (const view of changed) view.paint();
  }
}
