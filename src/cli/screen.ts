/**
 * Screen: a block of lines at the end of a terminal that is redrawn in place, with permanent lines
 * written above it. Bounded: a redraw every `REDRAW_MS` at most, and no line wider or block higher than
 * the terminal. Colours are left out if `NO_COLOR` is set or the terminal is a dumb one.
 */

import { styleText } from 'node:util';

const REDRAW_MS = 100;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

export type Colour = 'green' | 'red' | 'yellow' | 'dim' | 'bold';

/** A piece of a line. */
export type Span = string | readonly [text: string, colour: Colour];
export type Line = readonly Span[];

/** The present picture: lines that stay, each written once, and the block below them. */
export interface Picture {
  readonly above?: readonly Line[];
  readonly block: readonly Line[];
}

export class Screen {
  private readonly output: NodeJS.WriteStream;
  private readonly picture: () => Picture;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private height = 0;
  private ended = false;

  /** @param output a terminal @param picture called at each redraw */
  constructor(output: NodeJS.WriteStream, picture: () => Picture) {
    this.output = output;
    this.picture = picture;
    output.write(HIDE_CURSOR);
    output.on('resize', () => this.changed());
  }

  /** Lines that a person can see at once. */
  get rows(): number {
    return Math.max(2, this.output.rows || 24);
  }

  /** Visible lines of the block: the last line of the terminal is the cursor's. */
  get blockRows(): number {
    return this.rows - 1;
  }

  get columns(): number {
    return Math.max(20, this.output.columns || 80);
  }

  /** Reports a change; it is drawn soon. */
  changed(): void {
    if (this.ended) return;
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.ended) return;
    const { above = [], block } = this.picture();
    const shown = block.slice(0, this.blockRows);
    const back = this.height > 0 ? `\u001b[${this.height}A\r` : '\r';
    const lines = [...above, ...shown].map((line) => `${this.text(line)}${CLEAR_LINE}\n`);
    this.output.write(`${back}${lines.join('')}${CLEAR_BELOW}`);
    this.height = shown.length;
  }

  /** Draws for the last time, and restores the cursor. */
  end(): void {
    if (this.ended) return;
    this.draw();
    this.ended = true;
    this.output.write(SHOW_CURSOR);
  }

  private text(line: Line): string {
    let room = this.columns;
    let text = '';
    for (const span of line) {
      const [words, colour] = typeof span === 'string' ? [span, undefined] : span;
      const cut = words.slice(0, room);
      room -= cut.length;
      text +=
        colour === undefined || cut === '' ? cut : styleText(colour, cut, { stream: this.output });
    }
    return text;
  }
}
