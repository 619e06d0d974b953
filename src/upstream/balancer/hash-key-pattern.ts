/** What `key` may be, by `hash_on`, written as APISIX does because errors show it. Absent: any text. */
export const hashKeyPatterns: Readonly<Record<string, string>> = {
  vars: '^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$',
  header: '^[a-zA-Z0-9-_]+$',
  cookie: '^[a-zA-Z0-9-_]+$',
};
