/** Socket gate: a socket is read while nobody wants it to rest. */

/** A socket as far as it matters here. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

export class SocketGate implements Pausable {
  private readonly socket: Pausable;
  private pauses = 0;

  constructor(socket: Pausable) {
    this.socket = socket;
  }

  pause(): void {
    if (this.pauses++ === 0) this.socket.pause();
  }

  /** Whoever wanted it to rest does not any more. */
  resume(): void {
    if (--this.pauses === 0) this.socket.resume();
  }
}
