/** `tapedeck tail`: a live stream, a line a message. */

import { Command } from 'commander';

import { toJson } from '../../protocol/json';
import type { Message } from '../../protocol/messages';
import { Connection } from '../client/connection';
import { StartFault } from '../base/start-fault';
import { clientFault, fail } from './failure';
import { URL_OPTION } from './options';

interface Options {
  readonly url: string;
  readonly json?: true;
}

export function tailCommand(): Command {
  return new Command('tail')
    .description('Print live topics, a line a message, until interrupted.')
    .argument('<topic...>', 'tick:SYM, trade:SYM, bbo:SYM, book:SYM, status; * for every symbol')
    .addOption(URL_OPTION())
    .option('--json', 'lines that "replay" can read back')
    .addHelpText(
      'after',
      `
Examples:
  tapedeck tail trade:BTCUSDT
  tapedeck tail --json 'trade:*' 'book:*' > today.ndjson
`,
    )
    .action(async (topics: string[], options: Options) => {
      process.stdout.on('error', (e: NodeJS.ErrnoException) => {
        process.exit(e.code === 'EPIPE' ? 0 : 74); // the reader has seen enough
      });
      try {
        const connection = await Connection.connect(options.url, {
          client: 'tapedeck tail',
          onMessage: (message) => print(connection, message, options.json === true),
          onClose: ({ code, reason }) => {
            const message = `the connection ended with ${code} ${reason}`.trim();
            fail(new StartFault('connection-failed', message, 'Start the command again.'));
          },
        });
        process.on('SIGINT', () => process.exit(0));
        await connection.subscribe(topics);
      } catch (e) {
        fail(clientFault(e));
        process.exit();
      }
    });
}

function print(connection: Connection, message: Message, json: boolean): void {
  if (message.type === 'heartbeat' || message.type === 'welcome') return;
  const fields = toJson(message, (symbol) => connection.instruments.get(symbol));
  process.stdout.write(json ? `${JSON.stringify(fields)}\n` : `${readable(message, fields)}\n`);
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
