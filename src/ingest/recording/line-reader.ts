/**
 * Line reader: bytes of a recording in, records and faults out. Knows nothing of files, so it reads
 * what comes over a connection just as well.
 */

import { Nanos } from '../../../protocol/time';
import { BinanceDecoder } from './binance';
import { Definitions, NOTHING_KNOWN, type Known } from './definitions';
import type { RecordingFormat } from './detect';
import type { LineFault, RecordingFault } from './faults';
import { LINE_BYTES_MAX, LineSplitter } from './lines';
import { BookMarkets } from './markets';
import { Collector, type Counts, type Decoder, type RecordedBatch } from './record';
import { SymbolNames } from './symbol-names';
import { TapeDecoder } from './tape';
import type { TimeUnit } from './times';

/** How the lines are to be understood. */
export interface ReadingOptions {
  /** What a damaged line does; `stop` unless given. */
  readonly onFault?: 'stop' | 'skip';
  /** Definitions and decimals known beforehand. */
  readonly known?: Known;
  /** Of its times; `ns` unless given. */
  readonly timeUnit?: TimeUnit;
  /** What to call the names of the recording. */
  readonly names?: ReadonlyMap<string, string>;
  /** Shared by the recordings of one import. */
  readonly markets?: BookMarkets;
  /** `binance` only: the symbol of REST snapshots that name none. */
  readonly snapshotSymbol?: string;
  readonly lineBytesMax?: number;
  /** The clock of this machine, which no line was received ahead of; without it none is held against it. */
  readonly now?: () => Nanos;
}

export interface LineReaderOptions extends ReadingOptions {
  /** Names the source in faults. */
  readonly file: string;
  readonly format: RecordingFormat;
}

const END_OF_TIME = Nanos.fromBigInt((1n << 63n) - 1n);

export class LineReader {
  private readonly collector: Collector;
  private readonly decoder: Decoder;
  private readonly splitter: LineSplitter;

  constructor(options: LineReaderOptions) {
    const collector = new Collector(options.file, options.onFault ?? 'stop');
    const decoder = decoderOf(options);
    this.collector = collector;
    this.decoder = decoder;
    this.splitter = new LineSplitter(
      {
        line: (text, line) => {
          decoder.line(text, line, collector);
          return collector.stoppedBy === undefined;
        },
        fault: (fault, line) => {
          decoder.fault(fault, line, collector);
          return collector.stoppedBy === undefined;
        },
      },
      options.lineBytesMax ?? LINE_BYTES_MAX,
    );
  }

  /** Set once reading has ended early; nothing is taken after that. */
  get stoppedBy(): RecordingFault | undefined {
    return this.collector.stoppedBy;
  }

  get counts(): Readonly<Counts> {
    return this.collector.counts;
  }

  /** The next bytes, which may be overwritten afterwards. */
  push(bytes: Uint8Array): RecordedBatch {
    if (this.stoppedBy === undefined) this.splitter.push(bytes);
    return this.collector.take();
  }

  /** The bytes are over. */
  end(): RecordedBatch {
    this.finish(true);
    return this.collector.take();
  }

  /** The bytes broke off: a last line without its line feed is taken only if they are known to be whole. */
  fail(fault: LineFault): RecordedBatch {
    this.finish(fault.isBehind === true);
    if (this.stoppedBy === undefined) this.collector.fatal(this.splitter.lines + 1, fault);
    return this.collector.take();
  }

  private finish(isWhole: boolean): void {
    if (this.stoppedBy !== undefined) return;
    if (!isWhole || this.splitter.end()) this.decoder.end(this.collector);
  }
}

function decoderOf(options: LineReaderOptions): Decoder {
  const common = {
    definitions: new Definitions(options.known ?? NOTHING_KNOWN),
    names: new SymbolNames(options.names),
    timeUnit: options.timeUnit ?? 'ns',
  };
  const { now, markets = new BookMarkets(), snapshotSymbol } = options;
  return options.format === 'binance'
    ? new BinanceDecoder({ ...common, markets, snapshotSymbol })
    : new TapeDecoder({ ...common, now: now ?? (() => END_OF_TIME) });
}
