/**
 * Text fit: chooses widths and font sizes so that figures are never cut off. The columns share the width of
 * their panel in proportion to their texts. If that is not enough, the font becomes smaller. Widths are
 * those of the widest text so far, so columns move only when a longer text arrives.
 */

const MEASURED_PX = 100;
const GAP_PX = 8;

export class TextMeasure {
  private readonly context = document.createElement('canvas').getContext('2d')!;

  constructor() {
    const { fontFamily } = getComputedStyle(document.documentElement);
    this.context.font = `${MEASURED_PX}px ${fontFamily}`;
  }

  /** Width of a text as a multiple of its font size; all digits are as wide as a zero. */
  em(text: string): number {
    return this.context.measureText(text.replaceAll(/\d/g, '0')).width / MEASURED_PX;
  }
}

/** The largest font size, in steps of 0.5, at which a text fits; at most `basePx`. */
export function fittingPx(em: number, widthPx: number, basePx: number): number {
  if (em === 0 || widthPx <= 0) return basePx;
  return Math.min(basePx, Math.floor((widthPx / em) * 2) / 2);
}

/** The columns of a panel, by the custom properties `--columns` and `--figures`. */
export class ColumnFit {
  private readonly panel: HTMLElement;
  private readonly least: readonly string[];
  private readonly basePx: number;
  private readonly measure = new TextMeasure();
  private longest: number[] = [];
  private em: number[] = [];
  private widthPx = 0;
  private changed = false;

  /** @param least a text per column that always has room @param rows parent of the rows */
  constructor(rows: HTMLElement, least: readonly string[], basePx: number, paddingPx: number) {
    this.panel = rows.closest<HTMLElement>('.panel') ?? rows;
    this.least = least;
    this.basePx = basePx;
    this.reset();
    new ResizeObserver(([entry]) => {
      this.widthPx = (entry?.contentRect.width ?? 0) - 2 * paddingPx;
      this.changed = true;
      this.apply();
    }).observe(rows);
  }

  /** Forgets the widths, for another instrument. */
  reset(): void {
    this.longest = this.least.map((text) => text.length);
    this.em = this.least.map((text) => this.measure.em(text));
    this.changed = true;
  }

  see(column: number, text: string): void {
    if (text.length <= this.longest[column]!) return;
    this.longest[column] = text.length;
    this.em[column] = Math.max(this.em[column]!, this.measure.em(text));
    this.changed = true;
  }

  apply(): void {
    if (!this.changed || this.widthPx <= 0) return;
    this.changed = false;
    const { em, panel } = this;
    const total = em.reduce((sum, one) => sum + one, 0);
    const room = this.widthPx - GAP_PX * (em.length - 1);
    const columns = em.map((one) => `minmax(0, ${one.toFixed(2)}fr)`).join(' ');
    panel.style.setProperty('--columns', columns);
    panel.style.setProperty('--figures', `${fittingPx(total, room, this.basePx)}px`);
  }
}
