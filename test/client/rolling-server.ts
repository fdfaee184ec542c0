/**
 * Rolling server: a model server whose journal goes back in time. It continues from any commit of what it had, or
 * of a copy, with an old, the present or an intermediate head, always in another epoch; and it answers resumes by
 * the rules [R2] [R3] [R5] [R8], implemented here a second time.
 */

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Message, MessageOf } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import type { ModelServer, Peer, LoggedMessage } from './model-server';

interface Run {
  readonly from: number;
  readonly to: number;
}

interface Image {
  readonly log: readonly LoggedMessage[];
  readonly lost: readonly Run[];
  readonly pastEpochs: readonly { readonly epoch: number; readonly after: number }[];
  readonly seq: number;
}

export class RollingServer {
  readonly model: ModelServer;
  /** Cuts the connection after this many messages of the next resumes, definitions not counted. */
  cutAfter = Infinity;
  onCut: () => void = () => {};
  /** Requests that were refused for their fields. */
  refused = 0;
  crossings = 0;
  private lost: Run[] = [];
  private pastEpochs = [{ epoch: 1, after: 0 }];
  private readonly copies: Image[] = [];
  private epochs = 1;

  constructor(model: ModelServer) {
    this.model = model;
    model.answer = (peer, m) => {
      if (m.type !== 'resume') return false;
      this.resume(peer, m);
      return true;
    };
  }

  copy(): void {
    this.copies.push(this.image());
  }

  /** Another epoch, `back` messages earlier. @param shown how far the head is on the way to what was published */
  goBack(back: number, shown: 0 | 0.5 | 1, copy: number): void {
    const { model } = this;
    model.cutAll();
    const present = this.image();
    const image = copy > 0 ? (this.copies.at(-copy) ?? present) : present;
    if (image !== present) this.copies.push(present);
    const seqs = [0, ...image.log.map(({ seq }) => seq)];
    const seq = seqs[Math.max(0, seqs.length - 1 - back)]!;
    const head = seq + Math.floor((Math.max(seq, image.seq) - seq) * shown);
    model.log.splice(0, Infinity, ...image.log.filter((m) => m.seq <= seq));
    this.lost = image.lost.filter(({ to }) => to <= seq);
    if (head > seq) this.lost.push({ from: seq + 1, to: head });
    model.seq = head;
    this.pastEpochs = image.pastEpochs.filter(({ after }) => after < head && after <= seq);
    model.epoch = this.nextEpoch();
    this.pastEpochs.push({ epoch: model.epoch, after: head });
    model.heads.clear();
    model.levels.clear();
    for (const message of model.log) {
      model.heads.set(topicOf(message)!, message.seq);
      if (message.type === 'book')
        model.levels.set(message.symbol, this.bookAt(message.symbol, seq)!);
    }
  }

  /** Another server continues the numbering; the connections stay. */
  takeOver(): void {
    const { model, pastEpochs } = this;
    const { seq } = model;
    model.epoch = this.nextEpoch();
    pastEpochs.push({ epoch: model.epoch, after: seq });
    for (const peer of model.peers)
      peer.wire.send([{ type: 'epoch', epoch: model.epoch, seq, shard: null }]);
  }

  private nextEpoch(): number {
    return (this.epochs++ * 48_271) % 2_147_483_647; // no order
  }

  private image(): Image {
    const { model, lost, pastEpochs } = this;
    return { log: [...model.log], lost: [...lost], pastEpochs: [...pastEpochs], seq: model.seq };
  }

  private bookAt(symbol: string, seq: number): { bids: number[]; asks: number[] } | undefined {
    const levels = new TenLevels();
    let isKnown = false;
    for (const m of this.model.log) {
      if (m.type !== 'book' || m.symbol !== symbol || m.seq > seq) continue;
      isKnown = true;
      if (m.form === 'delta') levels.apply(m.bids, m.asks);
      else levels.replace(m.bids, m.asks);
    }
    return isKnown ? { bids: [...levels.bids], asks: [...levels.asks] } : undefined;
  }

  private lostAt(seq: number): Run | undefined {
    return this.lost.find(({ from, to }) => from <= seq && seq <= to);
  }

  /** The position from which a request is answered, or why it is refused. */
  private startOf({
    epoch,
    seq,
    newest,
  }: MessageOf<'resume'>): number | 'other-epoch' | 'from-the-future' {
    const met = newest ?? seq;
    let start = seq;
    if (epoch === this.model.epoch) {
      if (met > this.model.seq) return 'from-the-future';
    } else {
      const i = this.pastEpochs.findIndex((past) => past.epoch === epoch);
      const pushed = this.pastEpochs[i + 1]?.after;
      if (i < 0 || pushed === undefined || met > pushed) return 'other-epoch';
      this.crossings += 1;
      let kept = pushed;
      for (let run = this.lostAt(kept); run !== undefined; run = this.lostAt(kept))
        kept = run.from - 1;
      start = Math.min(seq, kept);
    }
    for (
      let run = this.lostAt(start);
      run !== undefined && start < run.to;
      run = this.lostAt(start)
    )
      start = run.from - 1;
    return start;
  }

  private resume(peer: Peer, request: MessageOf<'resume'>): void {
    const { id, topics } = request;
    const { model } = this;
    if (request.newest !== null && request.newest < request.seq) {
      this.refused += 1;
      const text = { message: 'newest', field: 'resume.newest', hint: null };
      return peer.wire.send([{ type: 'error', id, code: 'invalid-field', ...text }]);
    }
    for (const topic of topics) peer.topics.add(topic);
    const names = topics.flatMap((name) =>
      name.endsWith(':*') ? model.symbols.map((s) => `${name.split(':')[0]}:${s}`) : [name],
    );
    const start = this.startOf(request);
    const messages: Message[] = model.symbols.map((symbol) => model.definition(symbol));
    if (typeof start === 'string') {
      messages.push({
        type: 'reset',
        topics,
        epoch: model.epoch,
        seq: model.seq,
        reason: start,
        shard: null,
      });
      for (const name of names) messages.push(...this.state(name));
    } else messages.push(...this.behind(start, names));
    messages.push({ type: 'ack', id, seq: model.seq, repeated: null, waiting: null, shards: null });
    peer.wire.send(messages.splice(0, model.symbols.length));
    // One message in a frame, so that it may be cut anywhere.
    for (const message of messages.slice(0, this.cutAfter)) peer.wire.send([message]);
    this.cutAfter -= messages.length;
    if (this.cutAfter >= 0) return;
    this.cutAfter = Infinity;
    this.onCut();
    peer.topics.clear(); // nothing is live before the answer is complete
    setImmediate(() => peer.wire.cut());
  }

  private state(name: string): Message[] {
    if (name === 'status') return this.model.statuses();
    const [channel, symbol] = name.split(':');
    const newest = this.model.log.findLast((m) => topicOf(m) === name);
    if (channel === 'tick' && newest !== undefined) return [newest];
    return channel === 'book' && newest !== undefined ? [this.whole(symbol!, newest.seq, 0)] : [];
  }

  private whole(symbol: string, seq: number, prevSeq: number): Message {
    const newest = this.model.log.findLast((m) => topicOf(m) === `book:${symbol}` && m.seq <= seq)!;
    const sides = this.bookAt(symbol, seq)!;
    const crc = bookChecksum(sides.bids, sides.asks);
    return { ...newest, form: 'snapshot', seq, prevSeq, ...sides, crc } as Message;
  }

  private behind(start: number, names: readonly string[]): Message[] {
    const wanted = new Set(names);
    const messages: Message[] = [];
    const told = this.model.log.filter((m) => m.seq > start && wanted.has(topicOf(m)!));
    let lostTo = 0;
    for (const { from, to } of this.lost.filter((run) => run.to > start)) {
      messages.push(...told.splice(0, told.findLastIndex((m) => m.seq < from) + 1));
      for (const topic of names)
        messages.push({
          type: 'gap',
          topic,
          from,
          to,
          count: to - from + 1,
          reason: 'not-journaled',
          shard: null,
        });
      for (const name of names) {
        const [channel, symbol] = name.split(':');
        if (channel === 'book' && this.bookAt(symbol!, from) !== undefined)
          messages.push(this.whole(symbol!, to, to));
      }
      lostTo = to;
    }
    messages.push(...told);
    for (const name of names) {
      const newest = this.model.log.findLast((m) => topicOf(m) === name);
      if (newest?.type === 'tick' && newest.seq < lostTo) messages.push(newest);
      if (name === 'status') messages.push(...this.model.statuses().filter((m) => m.seq < lostTo));
    }
    return messages;
  }
}
