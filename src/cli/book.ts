/** `tapedeck book`: a ladder of the best levels: live on a terminal, otherwise printed once. */

import { Command } from 'commander';

import { parseTime } from '../../protocol/time';
import { BOOK_DEPTH } from '../../protocol/units';
import { fetchBook, type RestBook } from '../client/rest';
import { StartFault } from '../base/start-fault';
import { fail } from './failure';
import { keyOf, withKeyOptions, type KeyFlags } from './key-option';
import { MARK_WORDS, showLiveBook } from './live-book';
import { READER_KEY, URL_OPTION } from './options';
import { refusal } from './refusal';

interface Options extends KeyFlags {
  readonly url: string;
  readonly at?: string;
  readonly depth: string;
  readonly json?: true;
  readonly once?: true;
}

export function bookCommand(): Command {
  const command = new Command('book')
    .description('Show the order book of an instrument: live on a terminal, once into a pipe.')
    .argument('<symbol>', 'instrument')
    .addOption(URL_OPTION());
  return withKeyOptions(command, READER_KEY)
    .option('--at <TIME>', 'a past time: ns since 1970, or 2024-08-09T00:35:00Z')
    .option('--depth <N>', 'levels a side', '10')
    .option('--json', 'print the answer of the server unchanged')
    .option('--once', 'print once and end, also on a terminal')
    .addHelpText(
      'after',
      `
Live it has up to ten levels a side, and goes on until interrupted. --at, --json and a greater --depth
are answered once.

Examples:
  tapedeck book BTCUSDT --depth 5
  tapedeck book BTCUSDT --at 2024-08-09T00:35:00.5Z
  tapedeck book BTCUSDT --json --depth 100 | less
`,
    )
    .action(async (symbol: string, options: Options) => {
      const key = keyOf(options);
      if (key instanceof StartFault) return fail(key);
      const at = options.at === undefined ? undefined : parseTime(options.at);
      if (options.at !== undefined && at === undefined) {
        fail(
          new StartFault(
            'bad-usage',
            `--at is ${JSON.stringify(options.at)}; expected ns since 1970 or an ISO 8601 time`,
            'Example: --at 2024-08-09T00:35:00.5Z',
          ),
        );
        return;
      }
      if (!/^\d{1,6}$/.test(options.depth) || Number(options.depth) < 1) {
        const message = `--depth is ${JSON.stringify(options.depth)}; expected a whole number from 1`;
        fail(new StartFault('bad-usage', message, 'Example: --depth 5'));
        return;
      }
      const depth = Number(options.depth);
      const isLive = process.stdout.isTTY && depth <= BOOK_DEPTH && at === undefined;
      try {
        if (isLive && options.once !== true && options.json !== true) {
          await showLiveBook(options.url, symbol, depth, key);
          return;
        }
        const query = { depth, ...(at && { at: at.toString() }) };
        const book = await fetchBook(options.url, symbol, query, key);
        process.stdout.write(options.json ? `${JSON.stringify(book)}\n` : ladder(book));
      } catch (e) {
        fail(await refusal(e, () => symbol, options.url, key));
      }
    });
}

/** Why these may not be the present levels, or fewer than requested. */
function doubts({ mark, depthKnown }: RestBook): string[] {
  const words: string[] = [];
  if (mark !== undefined) words.push(MARK_WORDS[mark]);
  if (typeof depthKnown === 'number') words.push(`only ${depthKnown} levels a side are known`);
  return words;
}

/** Asks above bids, the best in the middle, columns aligned. */
function ladder(book: RestBook): string {
  const levels = [...book.asks, ...book.bids];
  const priceWidth = Math.max(5, ...levels.map(([price]) => price.length));
  const quantityWidth = Math.max(8, ...levels.map(([, quantity]) => quantity.length));
  const line = ([price, quantity]: readonly [string, string], side: string): string =>
    `${side}  ${price.padStart(priceWidth)}  ${quantity.padStart(quantityWidth)}\n`;
  return [
    `${[`${book.symbol}  seq ${book.seq}  ${book.source}  ${book.ageMs.toFixed(0)} ms old`, ...doubts(book)].join('  ')}\n`,
    ...book.asks.toReversed().map((level) => line(level, 'ask')),
    ...book.bids.map((level) => line(level, 'bid')),
  ].join('');
}
