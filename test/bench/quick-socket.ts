/** A hand-written WebSocket that reads everything at once, answers pings, and costs little. */

import type { Socket } from 'bun';

import { FrameEncoder, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { clientFrame, frameAt, OPCODE, upgradeRequest } from './ws-frames';

const NOTHING = Buffer.alloc(0);

export class QuickSocket {
  private readonly socket: Socket<QuickSocket>;
  private readonly take: (payload: Uint8Array) => void;
  private readonly ended: () => void;
  private isUpgraded = false;
  /** The bytes of a frame that is not complete yet. */
  private rest = NOTHING;

  private constructor(
    socket: Socket<QuickSocket>,
    take: (payload: Uint8Array) => void,
    ended: () => void,
  ) {
    this.socket = socket;
    this.take = take;
    this.ended = ended;
  }

  /**
   * @param take gets each binary frame, whose bytes are valid until it returns
   * @param ended called when the connection is closed
   */
  static async open(
    url: string,
    take: (payload: Uint8Array) => void,
    ended: () => void = () => {},
  ): Promise<QuickSocket> {
    const { hostname, port } = new URL(url);
    const socket = await Bun.connect<QuickSocket>({
      hostname,
      port: Number(port),
      socket: {
        data: ({ data }, chunk) => data.read(chunk),
        close: ({ data }) => data.ended(),
        error: (_, e) => {
          throw e;
        },
      },
    });
    socket.data = new QuickSocket(socket, take, ended);
    socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_MSGPACK));
    return socket.data;
  }

  subscribe(topics: readonly string[]): void {
    const request = { type: 'subscribe' as const, id: 1, topics: [...topics], intervalMs: null };
    this.socket.write(clientFrame(OPCODE.binary, new FrameEncoder().encode([request])));
  }

  private read(chunk: Buffer): void {
    const data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = this.isUpgraded ? 0 : this.upgrade(data);
    for (;;) {
      const frame = this.isUpgraded ? frameAt(data, at, data.length) : undefined;
      if (frame === undefined) break;
      at = frame.end;
      const payload = data.subarray(frame.start, frame.end);
      if (frame.opcode === OPCODE.binary) this.take(payload);
      else if (frame.opcode === OPCODE.ping) this.socket.write(clientFrame(OPCODE.pong, payload));
      else if (frame.opcode !== OPCODE.close) {
        throw new Error(`a frame of kind ${frame.opcode} on a binary stream`);
      }
    }
    this.rest = at === data.length ? NOTHING : Buffer.from(data.subarray(at));
  }

  /** @returns where the first frame begins @throws when the server refuses the handshake */
  private upgrade(data: Buffer): number {
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) return 0;
    if (!data.toString('latin1', 0, end).startsWith('HTTP/1.1 101')) {
      throw new Error(`the handshake was refused: ${data.toString()}`);
    }
    this.isUpgraded = true;
    return end + 4;
  }
}
