/**
 * Line reader: bytes of a recording in, records and faults out. Knows nothing of files, so it reads
 * what comes over a connection just as well.
 */

import type { Instrument } from '../../../protocol/messages';
import { BinanceDecoder } from './binance';
import { Definitions } from './definitions';
import type { RecordingFormat } from './detect';
import type { LineFault, RecordingFault } from './faults';
import { LINE_BYTES_MAX, LineSplitter } from './lines';
import { Collector, type Counts, type Decoder, type RecordedBatch } from './record';
import { TapeDecoder } from './tape';

export interface LineReaderOptions {
  /** Names the source in faults. */
  readonly file: string;
  readonly format: RecordingFormat;
  /** What a damaged line does; `stop` unless told. */
  readonly onFault?: 'stop' | 'skip';
  /** Definitions known beforehand; for `binance` they replace the default of eight decimals. */
  readonly instruments?: readonly Instrument[];
  /** `binance` only: the symbol of REST snapshots, which name none. */
  readonly snapshotSymbol?: string;
  readonly lineBytesMax?: number;
}

export class LineReader {
  private readonly collector: Collector;
  private readonly decoder: Decoder;
  private readonly splitter: LineSplitter;

  constructor(options: LineReaderOptions) {
    const definitions = new Definitions(options.instruments ?? []);
    const collector = new Collector(options.file, options.onFault ?? 'stop');
    const decoder =
      options.format === 'binance'
        ? new BinanceDecoder(definitions, options.snapshotSymbol)
        : new TapeDecoder(definitions);
    this.collector = collector;
    this.decoder = decoder;
    this.splitter = new LineSplitter(
      {
        line: (text, line) => {
          decoder.line(text, line, collector);
          return collector.stoppedBy === undefined;
        },
        fault: (fault, line) => collector.fault(line, fault) === 'go-on',
      },
      options.lineBytesMax ?? LINE_BYTES_MAX,
    );
  }

  /** Set once reading has ended early; nothing is taken after that. */
  get stoppedBy(): RecordingFault | undefined {
    return this.collector.stoppedBy;
  }

  get counts(): Readonly<Counts> {
    return { ...this.collector.counts, lines: this.splitter.lines };
  }

  /** The next bytes, which may be overwritten afterwards. */
  push(bytes: Uint8Array): RecordedBatch {
    if (this.stoppedBy === undefined) this.splitter.push(bytes);
    return this.collector.take();
  }

  /** The bytes are over. */
  end(): RecordedBatch {
    if (this.stoppedBy === undefined && this.splitter.end()) this.decoder.end(this.collector);
    return this.collector.take();
  }

  /** The bytes broke off: a last line that is not whole is not taken. */
  fail(fault: LineFault): RecordedBatch {
    if (this.stoppedBy === undefined) this.collector.fatal(this.splitter.lines + 1, fault);
    return this.collector.take();
  }
}
