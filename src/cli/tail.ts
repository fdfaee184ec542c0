/**
 * `tapedeck tail`: a live stream, a line a message; on a terminal as a live view. Bounded: what waits for the reader of the output
 * (`WAITING_LETTERS_MAX`), since the stream does not wait for it.
 */

import { Command } from 'commander';

import { toJson } from '../../protocol/json';
import type { Message } from '../../protocol/messages';
import { Connection } from '../client/connection';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { clientFault, fail, failNow } from './failure';
import { LiveTail } from './live-tail';
import { KEY_OPTION, URL_OPTION } from './options';

interface Options {
  readonly url: string;
  readonly key?: string;
  readonly json?: true;
}

export function tailCommand(): Command {
  return new Command('tail')
    .description('Print live topics, a line a message, until interrupted.')
    .argument(
      '<topic...>',
      'tick:SYM, trade:SYM, bbo:SYM, book:SYM, bar:SYM:1m, stats:SYM, status; * for every symbol',
    )
    .addOption(URL_OPTION())
    .addOption(KEY_OPTION())
    .option('--json', 'lines that "replay" can read back')
    .addHelpText(
      'after',
      `
Examples:
  tapedeck tail trade:BTCUSDT status
  tapedeck tail --json 'trade:*' 'book:*' > today.ndjson
`,
    )
    .action(async (topics: string[], options: Options) => {
      process.stdout.on('error', (e: NodeJS.ErrnoException) => {
        process.exit(e.code === 'EPIPE' ? 0 : 74); // the reader has seen enough
      });
      const json = options.json === true;
      const output = new Output();
      let live: LiveTail | undefined;
      const show = (message: Message): void => {
        const text = line(connection, message, json);
        if (live === undefined) output.write(text);
        else if (text !== '') live.take(message, text.trimEnd());
      };
      let connection: Connection;
      try {
        connection = await Connection.connect(options.url, {
          client: 'tapedeck tail',
          key: options.key,
          onMessage: show,
          onClose: ({ code, reason }) => {
            live?.end();
            const message = `the connection ended with ${code} ${reason}`.trim();
            fail(new StartFault('connection-failed', message, 'Start the command again.'));
          },
        });
        process.on('SIGINT', () => {
          live?.end();
          process.exit(0);
        });
        if (process.stdout.isTTY && !json) {
          live = new LiveTail(process.stdout, topics, new SystemClock());
        }
        await connection.subscribe(topics);
      } catch (e) {
        live?.end();
        failNow(clientFault(e));
      }
    });
}

const WAITING_LETTERS_MAX = 64 * 1024 * 1024;

/** Standard output, as far as its reader keeps up. */
class Output {
  private waiting = 0;

  write(text: string): void {
    this.waiting += text.length;
    process.stdout.write(text, () => (this.waiting -= text.length));
    if (this.waiting <= WAITING_LETTERS_MAX) return;
    const message = `the reader of the output is ${this.waiting} letters behind; at most ${WAITING_LETTERS_MAX} are kept for it`;
    failNow(new StartFault('output-too-slow', message, 'Follow fewer topics, or write to a file.'));
  }
}

/** Nothing for what says only that the connection is there. */
function line(connection: Connection, message: Message, json: boolean): string {
  if (message.type === 'heartbeat' || message.type === 'welcome') return '';
  const fields = toJson(message, (symbol) => connection.instruments.get(symbol));
  return json ? `${JSON.stringify(fields)}\n` : `${readable(message, fields)}\n`;
}

/** Shown at the head of the line, or of no interest to a person. */
const NOT_LISTED = new Set(['type', 'symbol', 'seq', 'prevSeq', 'eventTime', 'receiveTime']);

/** `12:34:56.789 trade BTCUSDT #17 price=… quantity=…`: what a person looks for, in that order. */
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
