/**
 * Held frames: frames of a connection that may publish or trade, which wait because the client has used its
 * share (shares.ts). The socket is not read while any frame is held, so TCP slows down a client that sends
 * too much. No data are lost; the answers are only later.
 *
 * Bounded: by what Bun had read from the socket before it stopped, by the bytes that a client may hold, and
 * by the work that may wait per client.
 */

import type { Meter } from '../../base/byte-account';
import type { Pausable } from './socket-gate';
import { PIECE, type Share, type Waiting } from '../auth/shares';

/** Work in microseconds: per frame, per byte of a frame and per event, including what follows from them. */
export const SOURCE_WORK = { frame: 8, byte: 0.015, event: 2 } as const;
/** Memory that a frame takes in addition to its bytes. */
const FRAME_BYTES = 256;
/**
 * A connection with at most this many waiting frames is not refused because of its client's other
 * connections.
 */
const MODEST = 16;

type Data = string | Uint8Array;

interface Frame {
  readonly data: Data;
  readonly bytes: number;
}

export class HeldFrames implements Waiting {
  private readonly shareOf: () => Share;
  private readonly handle: (data: Data, bytes: number) => void;
  private socket: Pausable | undefined;
  private meter: Meter | undefined;
  private frames: Frame[] = [];
  private done = 0;
  /** The share in whose queue this connection waits. */
  private share: Share | undefined;

  /**
   * @param shareOf returns the current share of the client
   * @param handle decodes a frame and handles its messages
   */
  constructor(shareOf: () => Share, handle: (data: Data, bytes: number) => void) {
    this.shareOf = shareOf;
    this.handle = handle;
  }

  /** @param meter counts the held bytes */
  open(socket: Pausable, meter: Meter): void {
    this.socket = socket;
    this.meter = meter;
  }

  /** Handles a frame now, or when its share allows it. @returns why the frame is refused */
  take(data: Data, bytes: number): 'crowded' | 'no-room' | undefined {
    if (this.share === undefined) {
      const share = this.shareOf();
      if (share.isFree) {
        this.read({ data, bytes }, share);
        return undefined;
      }
      this.share = share;
      share.wait(this);
      this.socket?.pause();
    } else if (this.share.isFull && this.waiting >= MODEST) {
      return 'crowded';
    }
    if (this.meter?.take('publishes', bytes + FRAME_BYTES) !== true) return 'no-room';
    this.share.owe(workOf(bytes));
    this.frames.push({ data, bytes });
    return undefined;
  }

  get isHolding(): boolean {
    return this.share !== undefined;
  }

  step(share: Share): boolean {
    for (let spent = 0; spent < PIECE && this.waiting > 0 && share.mayRun;) {
      const frame = this.frames[this.done++]!;
      this.release(frame, share);
      spent += workOf(frame.bytes);
      this.read(frame, share);
    }
    if (this.waiting > 0) return true;
    this.clear();
    return false;
  }

  /** Discards the held frames. */
  clear(): void {
    const { share } = this;
    if (share === undefined) return;
    for (const frame of this.frames.slice(this.done)) this.release(frame, share);
    this.frames = [];
    this.done = 0;
    this.share = undefined;
    this.socket?.resume();
  }

  private get waiting(): number {
    return this.frames.length - this.done;
  }

  private release({ bytes }: Frame, share: Share): void {
    share.owe(-workOf(bytes));
    this.meter?.add('publishes', -bytes - FRAME_BYTES);
  }

  private read({ data, bytes }: Frame, share: Share): void {
    share.spend(workOf(bytes));
    this.handle(data, bytes);
  }
}

function workOf(bytes: number): number {
  return SOURCE_WORK.frame + bytes * SOURCE_WORK.byte;
}
