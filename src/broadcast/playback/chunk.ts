/** Chunk: frames that the journal's playback thread has made, and taking them one by one. */

/** Some frames of a playback, ready to be sent. */
export interface PlaybackChunk {
  /**
   * Binary frames, one after the other, and where each ends; if there are none, `texts` has the
   * frames.
   */
  readonly bytes: Uint8Array;
  readonly ends: readonly number[];
  readonly texts: readonly string[];
  /** Time of each, in ms since the first of the playback. */
  readonly atMs: readonly number[];
  /** The newest sequence number of each; 0: none. */
  readonly seqs: readonly number[];
  /**
   * For each frame, a sequence number such that it and the frames before contain everything up to
   * it and nothing after it; 0: none.
   */
  readonly borders: readonly number[];
  /** The same for the whole chunk, which may have no frame. */
  readonly reached: number;
  readonly isLast: boolean;
}

/** Takes the frames of a chunk one by one. */
export class ChunkFrames {
  private chunk: PlaybackChunk | null = null;
  private next = 0;

  get isEmpty(): boolean {
    return this.chunk === null;
  }

  put(chunk: PlaybackChunk): void {
    this.chunk = chunk;
    this.next = 0;
    this.settle();
  }

  /** Time of the next frame, in ms since the first of the playback. Only if not `isEmpty`. */
  get atMs(): number {
    return this.chunk!.atMs[this.next]!;
  }

  /** Takes the next frame. Only if not `isEmpty`. */
  take(): { readonly data: string | Uint8Array; readonly seq: number; readonly border: number } {
    const { chunk, next } = this;
    const { ends, texts, bytes, seqs, borders } = chunk!;
    const data = ends.length === 0 ? texts[next]! : bytes.subarray(ends[next - 1] ?? 0, ends[next]);
    this.next += 1;
    this.settle();
    return { data, seq: seqs[next]!, border: borders[next]! };
  }

  private settle(): void {
    if (this.chunk !== null && this.next === this.chunk.seqs.length) this.chunk = null;
  }
}
