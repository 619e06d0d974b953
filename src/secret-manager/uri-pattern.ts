/** Address of a service, as APISIX checks it: a scheme, a host, and whatever follows. */
export const uriPattern = String.raw`^[^\/]+:\/\/([\da-zA-Z.-]+|\[[\da-fA-F:]+\])(:\d+)?`;
