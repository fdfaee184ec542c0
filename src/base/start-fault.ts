/** Start fault: why the server, or a command, cannot start, for people and for scripts. */

export type StartCode =
  | 'bad-usage'
  | 'bad-config'
  | 'bad-keys'
  | 'insecure'
  | 'data-unwritable'
  | 'data-in-use'
  | 'journal-foreign'
  | 'journal-newer'
  | 'journal-older'
  | 'journal-damaged'
  | 'journal-taken'
  | 'journal-unwritable'
  | 'no-journal'
  | 'port-in-use'
  | 'address-unavailable'
  | 'bad-recording'
  | 'connection-failed'
  | 'shard-conflict'
  | 'output-too-slow'
  | 'output-unwritable'
  | 'ring-absent'
  | 'ring-damaged'
  | 'ring-foreign'
  | 'ring-in-use'
  | 'ring-unusable'
  | 'ring-version'
  | 'refused'
  | 'cluster-unusable'
  | 'cluster-other-journal';

/** Exit codes; those of sysexits.h if one fits. */
export const EXIT_CODES: Readonly<Record<StartCode, number>> = {
  'bad-usage': 64,
  'bad-config': 78,
  'bad-keys': 78,
  'insecure': 78,
  'data-unwritable': 73,
  'data-in-use': 75,
  'journal-foreign': 65,
  'journal-newer': 65,
  'journal-older': 65,
  'journal-damaged': 65,
  'journal-taken': 75,
  'journal-unwritable': 74,
  'no-journal': 66,
  'port-in-use': 69,
  'address-unavailable': 69,
  'bad-recording': 65,
  'connection-failed': 69,
  'shard-conflict': 78,
  'output-too-slow': 74,
  'output-unwritable': 73,
  'ring-absent': 66,
  'ring-damaged': 65,
  'ring-foreign': 65,
  'ring-in-use': 75,
  'ring-unusable': 73,
  'ring-version': 65,
  'refused': 77,
  'cluster-unusable': 69,
  'cluster-other-journal': 65,
};

export class StartFault {
  readonly code: StartCode;
  readonly message: string;
  readonly hint: string;

  constructor(code: StartCode, message: string, hint: string) {
    this.code = code;
    this.message = message;
    this.hint = hint;
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}
