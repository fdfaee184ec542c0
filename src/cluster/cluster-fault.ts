/** Cluster fault: why a broker cannot be used, for people and for scripts. */

export type ClusterCode =
  /** None of the servers answers, or JetStream has no leader. */
  | 'broker-unreachable'
  | 'broker-unauthorized'
  | 'broker-insecure'
  | 'broker-too-old'
  | 'jetstream-off'
  | 'payload-too-small'
  /** The broker has too few servers, or too little room. */
  | 'broker-too-small'
  | 'stream-absent'
  /** It is there, and is not a batch log of this shard. */
  | 'stream-foreign'
  /** It is a batch log, with other limits than are asked for. */
  | 'stream-limits'
  | 'bad-cluster-settings';

export class ClusterFault {
  readonly code: ClusterCode;
  readonly message: string;
  readonly hint: string;

  constructor(code: ClusterCode, message: string, hint: string) {
    this.code = code;
    this.message = message;
    this.hint = hint;
  }
}
