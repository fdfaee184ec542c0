/**
 * Tail output: messages as lines, and standard output while its reader keeps up. Bounded: the text that
 * waits for that reader (`WAITING_LETTERS_MAX`), since a stream does not wait for it.
 */

import { toJson } from '../../protocol/json';
import { toJsonText } from '../../protocol/json-text';
import type { Message } from '../../protocol/messages';
import type { ScalesOf } from '../../protocol/units';
import { StartFault } from '../base/start-fault';
import { failNow } from './failure';

const WAITING_LETTERS_MAX = 64 * 1024 * 1024;

/** Standard output, while its reader keeps up. */
export class Output {
  private waiting = 0;

  write(text: string): void {
    this.waiting += text.length;
    process.stdout.write(text, () => (this.waiting -= text.length));
    if (this.waiting <= WAITING_LETTERS_MAX) return;
    const message = `the reader of the output is ${this.waiting} characters behind; at most ${WAITING_LETTERS_MAX} are kept for it`;
    failNow(new StartFault('output-too-slow', message, 'Follow fewer topics, or write to a file.'));
  }
}

/** No line for messages that only show that the connection is alive. */
export function line(message: Message, scalesOf: ScalesOf, json: boolean): string {
  if (message.type === 'heartbeat' || message.type === 'welcome') return '';
  if (json) return `${toJsonText(message, scalesOf)}\n`;
  return `${readable(message, toJson(message, scalesOf))}\n`;
}

/** Fields printed at the head of the line, or of no interest to a person. */
const NOT_LISTED = new Set(['type', 'symbol', 'seq', 'prevSeq', 'eventTime', 'receiveTime']);

/** `12:34:56.789 trade BTCUSDT #17 price=… quantity=…`: in the order in which a person looks for them. */
function readable(message: Message, fields: Record<string, unknown>): string {
  const at =
    'eventTime' in message ? message.eventTime.toISOString().slice(11, 23) : ' '.repeat(12);
  const words = [at, message.type];
  if ('symbol' in message) words.push(message.symbol);
  if ('seq' in message) words.push(`#${message.seq}`);
  for (const [name, value] of Object.entries(fields)) {
    if (NOT_LISTED.has(name) || value === null || (name === 'count' && value === 1)) continue;
    words.push(`${name}=${Array.isArray(value) ? pairs(value) : JSON.stringify(value)}`);
  }
  return words.join(' ');
}

function pairs(levels: readonly unknown[]): string {
  return `[${levels.map((level) => (Array.isArray(level) ? level.join('×') : JSON.stringify(level))).join(' ')}]`;
}
