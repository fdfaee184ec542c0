/**
 * Socket gate: pauses a socket while at least one part requests it, and resumes it after the last release.
 */

/** The methods of a socket that the gate uses. */
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

  /** One part withdraws its request for a pause. */
  resume(): void {
    if (--this.pauses === 0) this.socket.resume();
  }
}
