/** Log: what a stage needs of a log. Each line has a level, fields and a message. */

/** Where the stages write what an operator should know. */
export interface Log {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
  error(detail: object, message: string): void;
}
