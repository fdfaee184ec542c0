/** Options of `import`: how to interpret lines, from the command line. */

import type { RecordingFormat } from '../ingest/recording/detect';
import type { ScaleOptions } from '../ingest/recording/definitions';
import type { Speed } from '../ingest/recording/paced';
import type { TimeUnit } from '../ingest/recording/times';
import { isSymbol, SCALE_MAX } from '../../protocol/units';
import { StartFault } from '../base/start-fault';
import type { SinkOptions } from './import-sink';
import { keyOf } from './key-option';

export interface ImportOptions extends SinkOptions {
  readonly keyFile?: string;
  readonly speed: string;
  readonly format?: RecordingFormat;
  readonly timeUnit: TimeUnit;
  readonly priceScale?: readonly string[];
  readonly quantityScale?: readonly string[];
  readonly symbol?: readonly string[];
  readonly snapshotSymbol?: string;
  readonly continue?: true;
  readonly json?: true;
}

/** The options, checked. */
export interface Asked {
  readonly speed: Speed;
  readonly scales: ScaleOptions;
  readonly names: ReadonlyMap<string, string>;
}

/** The options with the key that they name, if there is a server to present it to. */
export function withKey(
  options: ImportOptions,
  files: readonly string[],
): ImportOptions | StartFault {
  if (options.to === undefined) return options;
  if (options.keyFile === '-' && files.includes('-')) {
    return new StartFault(
      'bad-usage',
      '--key-file and a recording cannot both be read from standard input',
      'Give one of them as a file.',
    );
  }
  const key = keyOf(options);
  return key instanceof StartFault ? key : { ...options, ...(key !== undefined && { key }) };
}

export function readOptions(options: ImportOptions): Asked | StartFault {
  if (options.to === undefined && (options.key ?? options.keyFile) !== undefined) {
    const flag = options.key === undefined ? '--key-file' : '--key';
    return new StartFault('bad-usage', `${flag} needs --to`, 'Give --to URL as well.');
  }
  const speed = parseSpeed(options.speed);
  if (speed === undefined) {
    return badUsage('--speed', options.speed, 'max or a number above 0', '--speed 10');
  }
  const price = readScales('--price-scale', options.priceScale ?? []);
  if (price instanceof StartFault) return price;
  const quantity = readScales('--quantity-scale', options.quantityScale ?? []);
  if (quantity instanceof StartFault) return quantity;
  const names = readNames(options.symbol ?? []);
  if (names instanceof StartFault) return names;
  const { snapshotSymbol } = options;
  if (snapshotSymbol !== undefined && !isSymbol(snapshotSymbol)) {
    return badUsage('--snapshot-symbol', snapshotSymbol, 'a symbol', '--snapshot-symbol BTCUSDT');
  }
  return { speed, scales: { price, quantity }, names };
}

/** `N` for all, or `SYMBOL=N`. */
function readScales(flag: string, given: readonly string[]): Map<string, number> | StartFault {
  const scales = new Map<string, number>();
  for (const text of given) {
    const [, symbol = '', digits] = /^(?:(.+)=)?(\d{1,2})$/.exec(text) ?? [];
    const scale = Number(digits ?? Number.NaN);
    if (!(scale <= SCALE_MAX) || (symbol !== '' && !isSymbol(symbol))) {
      const expected = `a number of decimals from 0 to ${SCALE_MAX}, or SYMBOL=N`;
      return badUsage(flag, text, expected, `${flag} SHIBUSDT=2`);
    }
    scales.set(symbol, scale);
  }
  return scales;
}

/** `NAME=SYMBOL`; a symbol has no equals sign after its last, a name may. */
function readNames(given: readonly string[]): Map<string, string> | StartFault {
  const names = new Map<string, string>();
  for (const text of given) {
    const split = text.lastIndexOf('=');
    const symbol = text.slice(split + 1);
    if (split < 1 || !isSymbol(symbol)) {
      return badUsage('--symbol', text, 'NAME=SYMBOL', "--symbol 'BTC/USDT:USDT=BTCUSDT.PERP'");
    }
    names.set(text.slice(0, split), symbol);
  }
  return names;
}

function parseSpeed(text: string): Speed | undefined {
  if (text === 'max') return 'max';
  const speed = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  return speed > 0 && Number.isFinite(speed) ? speed : undefined;
}

function badUsage(flag: string, value: string, expected: string, example: string): StartFault {
  return new StartFault(
    'bad-usage',
    `${flag} is ${JSON.stringify(value)}; expected ${expected}`,
    `Example: ${example}`,
  );
}
