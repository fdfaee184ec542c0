/**
 * Recovery: rebuilds the market from a checkpoint and the events behind it. Feed instruments apply the events; venues
 * execute the commands again, and their results must equal the record. A replica applies the batches of its leader in
 * the same way, for as long as it follows.
 *
 * In a checkpoint of pieces each instrument has its own sequence number, and only events behind that are applied to it.
 * The ended orders have one sequence number, which is not below that of any instrument.
 */

import type { Status } from '../../protocol/messages';
import type { BatchEvent, Command, RecordedInstrument } from '../../protocol/records';
import type { OwnedExecution } from '../base/contracts/batch';
import type { StatisticsState } from '../../protocol/statistics';
import {
  readState,
  type InstrumentText,
  type MarketCheckpoint,
  type MarketPiece,
  type MarketPieces,
  type MarketRest,
  type OrdersText,
} from './checkpoint';
import type { Deletions } from './deletions';
import { FeedInstrument } from './feed-instrument';
import {
  readOrder,
  type ClientOrders,
  type TrackedOrder,
  type WrittenOrder,
} from './client-orders';
import type { OrderRouter } from './order-router';
import { ReplayOutput } from './replay-output';
import { VenueInstrument } from './venue-instrument';
import { RESTART, type StatusHead } from './feed-status';

type AnyInstrument = FeedInstrument | VenueInstrument;

/** Receives the statistics of a piece, valid at a sequence number. */
export type TakeStatistics = (symbol: string, state: StatisticsState, seq: number) => void;

/** What recovery needs of the market that it restores. */
interface RestoredMarket {
  readonly clientOrders: ClientOrders;
  readonly router: Pick<OrderRouter, 'replay'>;
  readonly changed: Set<AnyInstrument>;
  ownersCaptured: number;
  known(symbol: string): AnyInstrument | undefined;
  feeds(): Iterable<FeedInstrument>;
  takeChanged(): unknown;
  seal(): void;
}

/** Adds or changes definitions. */
interface Define {
  add(definition: RecordedInstrument): AnyInstrument;
  redefine(instrument: FeedInstrument, definition: RecordedInstrument): void;
}

export class Recovery {
  private readonly market: RestoredMarket;
  private readonly clientOrders: ClientOrders;
  private readonly statusHead: StatusHead;
  private readonly deletions: Deletions;
  private readonly define: Define;
  private readonly replay = new ReplayOutput();
  /** Sequence number of the piece of each instrument. */
  private readonly since = new Map<AnyInstrument, number>();
  private endsSeq = 0;

  constructor(
    market: RestoredMarket,
    statusHead: StatusHead,
    deletions: Deletions,
    define: Define,
  ) {
    this.market = market;
    this.clientOrders = market.clientOrders;
    this.statusHead = statusHead;
    this.deletions = deletions;
    this.define = define;
  }

  restore(
    checkpoint: MarketCheckpoint | MarketPieces | null,
    takeStatistics: TakeStatistics,
  ): void {
    if (checkpoint === null) return;
    if ('pieces' in checkpoint) this.restorePieces(checkpoint, takeStatistics);
    else this.restoreWhole(checkpoint);
  }

  /**
   * Applies the next events, which end where a batch ended.
   * @returns the executions of the commands among them
   * @throws Error if they do not fit the checkpoint or the commands
   */
  apply(events: Iterable<BatchEvent>): readonly OwnedExecution[] {
    for (const event of events) {
      if (event.seq > this.endsSeq) this.clientOrders.reached();
      this.take(event);
    }
    this.replay.finish();
    return this.replay.takeExecutions();
  }

  /** The market goes on by itself from here: no source feeds it yet. */
  end(): void {
    this.clientOrders.reached();
    for (const instrument of this.market.feeds()) instrument.recovered();
  }

  private restoreWhole(checkpoint: MarketCheckpoint): void {
    this.statusHead.status = checkpoint.statusHead;
    this.clientOrders.restore(checkpoint.desk);
    for (const c of checkpoint.instruments) {
      const instrument = this.define.add(c.definition);
      if (instrument instanceof FeedInstrument && c.market === 'feed') {
        instrument.restore(c);
        this.deletions.restored(instrument);
      }
      if (instrument instanceof VenueInstrument && c.market === 'venue') {
        instrument.restore(c, Buffer.from(c.snapshot, 'base64'));
      }
    }
    this.clientOrders.chunks.markAllChanged();
  }

  private restorePieces(checkpoint: MarketPieces, takeStatistics: TakeStatistics): void {
    const { statusHead, endsSeq, endedCount } = JSON.parse(checkpoint.rest) as MarketRest;
    this.statusHead.status = statusHead;
    this.endsSeq = endsSeq;
    const orderChunks = new Map<string, number>();
    const open: TrackedOrder[] = [];
    const ended: TrackedOrder[] = [];
    for (const piece of checkpoint.pieces()) {
      if (piece.kind === 'instrument') {
        const text = readState<InstrumentText>(piece.text);
        const { symbol } = text.definition;
        this.since.set(this.restorePiece(text, piece), piece.seq);
        if (text.statistics !== null) takeStatistics(symbol, text.statistics, piece.seq);
        if (text.market === 'venue') orderChunks.set(symbol, text.orderChunks);
      } else if (piece.kind === 'orders') {
        const { symbol, chunk, orders } = readState<OrdersText>(piece.text);
        // Pieces of a time with more chunks are obsolete.
        if (chunk < (orderChunks.get(symbol) ?? 0)) for (const o of orders) open.push(readOrder(o));
      } else if (piece.kind === 'ended') {
        for (const o of readState<WrittenOrder[]>(piece.text)) ended.push(readOrder(o));
      } else {
        for (const name of JSON.parse(piece.text) as string[]) this.clientOrders.ownerNumber(name);
      }
    }
    this.clientOrders.restorePieces(open, ended, endedCount);
    this.market.ownersCaptured = this.clientOrders.owners.length;
    this.market.takeChanged();
  }

  private restorePiece(text: InstrumentText, { levels, bytes }: MarketPiece): AnyInstrument {
    const instrument = this.define.add(text.definition);
    if (instrument instanceof FeedInstrument && text.market === 'feed') {
      const [bids = [], asks = []] = levels;
      instrument.restore({ ...text, bids, asks });
      this.deletions.restored(instrument);
    } else if (instrument instanceof VenueInstrument && text.market === 'venue') {
      instrument.restore(text, bytes ?? new Uint8Array());
    }
    return instrument;
  }

  private take(event: BatchEvent): void {
    const { market } = this;
    const instrument = market.known(event.symbol);
    if (instrument !== undefined && event.seq <= (this.since.get(instrument) ?? 0)) {
      return this.takeShared(event);
    }
    if (event.type === 'instrument') {
      if (instrument instanceof FeedInstrument) this.define.redefine(instrument, event);
      market.changed.add(instrument ?? this.define.add(event));
      return;
    }
    if (instrument === undefined) {
      throw new Error(`record ${event.seq} names ${event.symbol}, which is not defined before it`);
    }
    if (event.type === 'snapshot') return; // the book events before it have the same content
    if (event.type === 'status' && isAnnouncement(event)) {
      return this.takeStatus(event, instrument);
    }
    market.changed.add(instrument);
    if (event.type === 'command') this.carryOutAgain(event);
    else if (instrument instanceof VenueInstrument) {
      this.replay.compare(event);
      if (event.type === 'tick') instrument.recoverVolume(event);
    } else {
      if (event.type === 'status') {
        this.statusHead.status = event.seq;
        this.deletions.recover(instrument, event);
      }
      instrument.recover(event);
    }
  }

  /**
   * The piece of its instrument includes this event, but shared state does not: owners get their numbers in the
   * order of commands, and the status events of all instruments form one chain.
   */
  private takeShared(event: BatchEvent): void {
    if (event.type === 'status') this.statusHead.status = event.seq;
    else if (event.type === 'command') this.clientOrders.ownerNumber(event.owner);
  }

  private takeStatus(event: Status, instrument: AnyInstrument): void {
    const follows =
      event.prevSeq === this.statusHead.status &&
      event.missed === 0 &&
      event.eventTime.compare(event.receiveTime) === 0;
    // A feed instrument gets its state after recovery; that of a venue follows from its commands.
    const isVenue = instrument instanceof VenueInstrument;
    if (!follows || (isVenue && instrument.state !== event.state)) {
      throw new Error(`record ${event.seq} does not follow from those before it`);
    }
    this.statusHead.status = event.seq;
    if (instrument instanceof FeedInstrument) instrument.recoverStatus(event);
  }

  private carryOutAgain(command: Command): void {
    this.replay.begin(command);
    this.market.router.replay(command, this.replay);
    this.market.seal();
  }
}

/** Events of the server itself follow from no command. */
function isAnnouncement(e: Status): boolean {
  return e.reason === RESTART || e.reason === 'defined';
}
