/**
 * Line reader: turns bytes of a recording into records and faults. It knows nothing of files, so it also reads what
 * arrives over a connection.
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

/** How to interpret the lines. */
export interface ReadingOptions {
  /** What a damaged line does; default `stop`. */
  readonly onFault?: 'stop' | 'skip';
  /** Definitions and decimals that are known in advance. */
  readonly known?: Known;
  /** Unit of its times; default `ns`. */
  readonly timeUnit?: TimeUnit;
  /** Renames symbols of the recording. */
  readonly names?: ReadonlyMap<string, string>;
  /** Shared by the recordings of one import. */
  readonly markets?: BookMarkets;
  /** `binance` only: the symbol of REST snapshots that name none. */
  readonly snapshotSymbol?: string;
  readonly lineBytesMax?: number;
  /** The clock of this machine: no line can have been received later. Without it this is not checked. */
  readonly now?: () => Nanos;
}

export interface LineReaderOptions extends ReadingOptions {
  /** Name of the source in faults. */
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

  /** Set once reading has stopped early; nothing is read after that. */
  get stoppedBy(): RecordingFault | undefined {
    return this.collector.stoppedBy;
  }

  get counts(): Readonly<Counts> {
    return this.collector.counts;
  }

  /** Reads the next bytes. The caller may overwrite them afterwards. */
  push(bytes: Uint8Array): RecordedBatch {
    if (this.stoppedBy === undefined) this.splitter.push(bytes);
    return this.collector.take();
  }

  /** All bytes have been read. */
  end(): RecordedBatch {
    this.finish(true);
    return this.collector.take();
  }

  /** The bytes were truncated: a last line without a line feed is read only if the bytes are known to be intact. */
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
