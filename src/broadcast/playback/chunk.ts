/** Chunk: frames that the journal's playback thread has made, and taking them one by one. */

/** Some frames of a play of the journal, ready to be sent. */
export interface PlayedChunk {
  /** Binary frames, one behind the other, and where each ends; without any, `texts` has them. */
  readonly bytes: Uint8Array;
  readonly ends: readonly number[];
  readonly texts: readonly string[];
  /** When each is due, in ms since the first. */
  readonly atMs: readonly number[];
  /** The newest place of each; 0: none. */
  readonly seqs: readonly number[];
  /** A seq such that all up to there is in it and the frames before, and nothing above; 0: none. */
  readonly borders: readonly number[];
  /** The same of the whole chunk, which may have no frame. */
  readonly reached: number;
  readonly isLast: boolean;
}

/** Takes the frames of a chunk one by one. */
export class ChunkFrames {
  private chunk: PlayedChunk | null = null;
  private next = 0;

  get isEmpty(): boolean {
    return this.chunk === null;
  }

  put(chunk: PlayedChunk): void {
    this.chunk = chunk;
    this.next = 0;
    this.settle();
  }

  /** When the next is due, in ms since the first of the play; of an empty one it is not known. */
  get atMs(): number {
    return this.chunk!.atMs[this.next]!;
  }

  /** Only while it is not empty. */
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
