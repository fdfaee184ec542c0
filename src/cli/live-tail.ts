/**
 * Live tail: messages on a terminal as they come, above a line that counts them. Messages that come faster
 * than a person can read are only counted: a redraw prints at most a screen of lines. A pipe gets all.
 */

import type { Clock } from '../base/clock';
import type { Message } from '../../protocol/messages';
import { Screen, type Colour, type Line } from './screen';

const COUNT_EVERY_MS = 1_000;

export class LiveTail {
  private readonly screen: Screen;
  private readonly clock: Clock;
  private readonly topics: string;
  private lines: Line[] = [];
  private messages = 0;
  private hidden = 0;
  private perSecond = 0;
  private countedMessages = 0;
  private countedAtMs: number;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(output: NodeJS.WriteStream, topics: readonly string[], clock: Clock) {
    this.clock = clock;
    this.topics = topics.join(' ');
    this.countedAtMs = clock.monotonicMs();
    this.screen = new Screen(output, () => this.picture());
    this.timer = setInterval(() => this.count(), COUNT_EVERY_MS);
    this.screen.draw();
  }

  /** @param text the line as a pipe would get it */
  take(message: Message, text: string): void {
    this.messages += 1;
    this.lines.push([colourOf(message) === undefined ? text : [text, colourOf(message)!]]);
    // Keeps what one redraw can print.
    if (this.lines.length > this.screen.rows) {
      this.lines.shift();
      this.hidden += 1;
    }
    this.screen.changed();
  }

  end(): void {
    clearInterval(this.timer);
    this.screen.end();
  }

  private picture(): { above: Line[]; block: Line[] } {
    const above = this.lines;
    this.lines = [];
    const hidden = this.hidden > 0 ? `, ${this.hidden} of them too fast to display` : '';
    const text = `${this.topics}: ${this.messages} messages, ${this.perSecond}/s${hidden}; Ctrl-C ends`;
    return { above, block: [[[text, 'dim']]] };
  }

  private count(): void {
    const nowMs = this.clock.monotonicMs();
    const passedMs = Math.max(1, nowMs - this.countedAtMs);
    this.perSecond = Math.round(((this.messages - this.countedMessages) * 1_000) / passedMs);
    this.countedMessages = this.messages;
    this.countedAtMs = nowMs;
    this.screen.changed();
  }
}

function colourOf(message: Message): Colour | undefined {
  switch (message.type) {
    case 'trade':
      if (message.aggressor === 'none') return undefined;
      return message.aggressor === 'buy' ? 'green' : 'red';
    case 'gap':
    case 'reset':
    case 'error':
    case 'closing':
      return 'yellow';
    case 'instrument':
    case 'ack':
      return 'dim';
    default:
      return undefined;
  }
}
