/** Stream turns: times the handling of each event of a socket as one turn of the event loop. */

import type { ServerWebSocket } from 'bun';

import type { TurnMeter } from '../../base/turn-meter';

type Socket = ServerWebSocket<unknown>;

/** The receiver of the events of a socket. */
interface SocketEvents {
  open(ws: Socket): void;
  message(ws: Socket, data: string | Uint8Array): void;
  pong(ws: Socket, payload: Uint8Array): void;
  close(ws: Socket, code: number): void;
}

export class StreamTurns implements SocketEvents {
  private readonly turns: TurnMeter;
  private readonly events: SocketEvents;

  constructor(turns: TurnMeter, events: SocketEvents) {
    this.turns = turns;
    this.events = events;
  }

  open(ws: Socket): void {
    this.turns.run('connect', () => this.events.open(ws));
  }

  message(ws: Socket, data: string | Uint8Array): void {
    this.turns.run('frame', () => this.events.message(ws, data));
  }

  /** With many idle sessions, this is the most frequent event. */
  pong(ws: Socket, payload: Uint8Array): void {
    const isTurn = this.turns.begin();
    try {
      this.events.pong(ws, payload);
    } finally {
      if (isTurn) this.turns.end('pong');
    }
  }

  close(ws: Socket, code: number): void {
    this.turns.run('disconnect', () => this.events.close(ws, code));
  }
}
