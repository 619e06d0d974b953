/**
 * The longest that a timer of Node can be set to, in ms: almost 25 days. Anything longer would fire at once.
 * https://nodejs.org/api/timers.html#settimeoutcallback-delay-args
 */
export const longestTimerMs = 2 ** 31 - 1;
