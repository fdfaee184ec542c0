/**
 * Feed trades: the trades of a feed instrument, each with the tick that follows. A late trade gets no tick, since it
 * changes nothing that is newest.
 */

import type { Tick, Trade } from '../../protocol/messages';
import type { RecordedTick, RecordedTrade } from '../../protocol/records';
import type { Sum } from '../../protocol/sums';
import type { Nanos } from '../../protocol/time';
import { isLate, marketTime } from '../../protocol/trade-time';
import type { FeedStatus } from './feed-status';
import type { MarketOutput } from './output';
import type { TradeClock } from './trade-clock';
import { TradeNumbers, type NumberVerdict, type TradeNumbersState } from './trade-numbers';

/** Reasons of status events that tell recovery how the next trade's number was judged. */
const TRADES_RENUMBERED = 'trades-renumbered';
const TRADES_JUMPED = 'trades-jumped';

/** The state for a checkpoint. */
export interface FeedTradesState {
  readonly numbers: TradeNumbersState;
  readonly presentTime: Nanos | null;
  readonly volume: Sum;
}

/** Best prices, if known. */
export interface KnownTop {
  readonly bid: number | null;
  readonly ask: number | null;
}

export class FeedTrades {
  readonly clock: TradeClock;
  /** The newest seq of each topic; 0 before the first. */
  readonly heads = { tick: 0, trade: 0 };
  lastTick: RecordedTick | null = null;
  private readonly status: FeedStatus;
  private readonly top: KnownTop;
  private readonly numbers = new TradeNumbers();
  /** Whether the present session has sent no numbered trade yet and does not state that it continues the numbering. */
  private isNewSession = false;
  /** Recovery: whether the next trade's number was a jump. */
  private isJump = false;

  constructor(status: FeedStatus, top: KnownTop, clock: TradeClock) {
    this.status = status;
    this.top = top;
    this.clock = clock;
  }

  /** A new session of a source begins. */
  begin(continues: boolean): void {
    this.isNewSession = !continues;
  }

  take(m: Trade, out: MarketOutput): 'taken' | 'repeated' {
    const { receiveTime } = out;
    const timing = this.clock.timing(m.eventTime, receiveTime);
    const at = marketTime({ eventTime: m.eventTime, receiveTime, timing });
    const by = earlier(at, receiveTime);
    const verdict = this.numbers.judge(m, by, this.isNewSession);
    if (verdict === 'repeated') return 'repeated';
    this.status.revive(at, out);
    this.tellNumbers(m, verdict, at, out);
    if (m.seq !== 0) this.isNewSession = false;
    this.numbers.take(m, by, verdict);
    const trade: RecordedTrade = {
      ...m,
      seq: out.nextSeq(),
      prevSeq: this.heads.trade,
      receiveTime,
      timing,
      sourceSeq: m.seq,
    };
    out.push(trade);
    this.heads.trade = trade.seq;
    this.clock.take(trade);
    if (!isLate(trade)) this.pushTick(trade, out);
    if (isLate(trade)) this.status.count('late', at, out);
    if (timing === 'ahead' || timing === 'late-and-ahead') this.status.count('ahead', at, out);
    return 'taken';
  }

  /** The source restarts its numbering. */
  renumber(at: Nanos, out: MarketOutput): void {
    this.numbers.reset();
    this.isNewSession = false;
    this.status.renumbered(TRADES_RENUMBERED, at, out);
  }

  /** Judges the number of a trade. */
  private tellNumbers(m: Trade, verdict: NumberVerdict, at: Nanos, out: MarketOutput): void {
    const { status } = this;
    const { last } = this.numbers;
    if (verdict === 'renumbered') status.renumbered(TRADES_RENUMBERED, at, out);
    else if (verdict === 'jump') status.tell(status.state, TRADES_JUMPED, at, out);
    else if (verdict === 'next' && m.prevSeq !== 0 && last !== 0 && m.prevSeq > last) {
      status.tell(status.state, 'trades-missed', at, out, { missed: m.prevSeq - last });
    }
  }

  private pushTick(m: Trade, out: MarketOutput): void {
    const at = marketTime(m);
    const tick: Tick = {
      type: 'tick',
      symbol: m.symbol,
      seq: out.nextSeq(),
      prevSeq: this.heads.tick,
      eventTime: m.eventTime,
      receiveTime: m.receiveTime,
      last: m.price,
      bid: this.top.bid,
      ask: this.top.ask,
      quantity: m.quantity,
      volume: this.clock.volume,
      count: 1,
    };
    this.lastTick = at === m.eventTime ? tick : { ...tick, asOf: at };
    this.heads.tick = tick.seq;
    out.push(this.lastTick);
  }

  // ── recovery ────────────────────────────────────────────────────────────────────────────────

  state(): FeedTradesState {
    const { present, volume } = this.clock;
    return { numbers: this.numbers.state(), presentTime: present, volume };
  }

  restore({ numbers, presentTime, volume }: FeedTradesState): void {
    this.numbers.restore(numbers);
    this.clock.present = presentTime;
    this.clock.volume = volume;
  }

  /** Recovery: applies a trade of the journal. */
  recover(event: RecordedTrade): void {
    this.heads.trade = event.seq;
    this.clock.take(event);
    const numbered = { ...event, seq: event.sourceSeq ?? 0, prevSeq: 0 };
    const by = earlier(marketTime(event), event.receiveTime);
    // The status before it says whether the numbering restarted or jumped.
    const { last } = this.numbers;
    const next = this.isJump ? 'jump' : 'next';
    this.numbers.take(numbered, by, last === 0 || numbered.seq > last ? next : 'fill');
    this.isJump = false;
  }

  /** Recovery: applies the reason of a status of the journal. */
  recoverReason(reason: string): void {
    if (reason === TRADES_RENUMBERED) this.numbers.begin();
    this.isJump = reason === TRADES_JUMPED;
  }
}

function earlier(a: Nanos, b: Nanos): Nanos {
  return a.compare(b) < 0 ? a : b;
}
