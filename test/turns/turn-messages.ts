/** Messages between a server whose turns are timed and the test. */

export type Ask = 'begin' | 'end' | 'stop';

/** The longest turn of a kind, in ms of processor time. */
export interface Longest {
  readonly kind: string;
  readonly ms: number;
  readonly detail: string;
}

export type TurnMessage =
  | { readonly is: 'started'; readonly url: string }
  | { readonly is: 'begun' }
  | {
      readonly is: 'ended';
      readonly longest: readonly Longest[];
      /** The time of a unit of the fixed work, in ms of processor time. */
      readonly unitMs: number;
    };
