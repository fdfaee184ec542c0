/**
 * Layout: fixed binary forms, little-endian, used in the journal and in shared memory.
 *
 * Levels:
 *
 *     0        4        8                16               24
 *     ┌────────┬────────┬────────────────┬────────────────┬─ ─
 *     │ bids   │ asks   │ price          │ quantity       │ …   bids best first, then asks best first
 *     │ uint32 │ uint32 │ int64          │ int64          │
 *     └────────┴────────┴────────────────┴────────────────┴─ ─
 */

const WORD = 4_294_967_296;
const HEADER_BYTES = 8;
const LEVEL_BYTES = 16;

/** Size of these levels in bytes. */
export function levelsBytes(bids: readonly number[], asks: readonly number[]): number {
  return HEADER_BYTES + ((bids.length + asks.length) / 2) * LEVEL_BYTES;
}

/** Writes levels from an offset on. @param bids flat: price, quantity, price, quantity … */
export function writeLevels(
  view: DataView,
  offset: number,
  bids: readonly number[],
  asks: readonly number[],
): void {
  view.setUint32(offset, bids.length / 2, true);
  view.setUint32(offset + 4, asks.length / 2, true);
  writeInt64s(view, offset + HEADER_BYTES, bids);
  writeInt64s(view, offset + HEADER_BYTES + (bids.length / 2) * LEVEL_BYTES, asks);
}

/** @returns undefined if the bytes are not levels */
export function decodeLevels(bytes: Uint8Array): { bids: number[]; asks: number[] } | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bids = view.getUint32(0, true);
  const asks = view.getUint32(4, true);
  if (bytes.length !== HEADER_BYTES + (bids + asks) * LEVEL_BYTES) return undefined;
  return {
    bids: readInt64s(view, HEADER_BYTES, bids * 2),
    asks: readInt64s(view, HEADER_BYTES + bids * LEVEL_BYTES, asks * 2),
  };
}

function writeInt64s(view: DataView, offset: number, values: readonly number[]): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    view.setUint32(offset + i * 8, value >>> 0, true);
    view.setInt32(offset + i * 8 + 4, Math.floor(value / WORD) | 0, true);
  }
}

function readInt64s(view: DataView, offset: number, count: number): number[] {
  const values = new Array<number>(count);
  for (let i = 0; i < count; i++) {
    values[i] =
      view.getInt32(offset + i * 8 + 4, true) * WORD + view.getUint32(offset + i * 8, true);
  }
  return values;
}
