/** Variables through which the ports of the command line reach {@link demoConfiguration}. */
export const demoPortVariables = { gateway: 'WEIR_DEMO_PORT', admin: 'WEIR_DEMO_ADMIN_PORT' } as const;

/**
 * The config.yaml that `weir demo` writes at its first start. The format of the access log is the one that APISIX's
 * documentation of ai-proxy publishes. https://apisix.apache.org/docs/apisix/plugins/ai-proxy/
 */
export const demoConfiguration = `# Configuration of \`weir demo\`. It was written once and is yours to change;
# without the file the next start writes it anew.

apisix:
  node_listen:
    - ip: 127.0.0.1
      port: \${{${demoPortVariables.gateway}:=9080}}
  control:
    port: 0                   # any free one

plugin_attr:
  prometheus:
    export_addr:
      port: 0

nginx_config:
  http:
    access_log_format: '$remote_addr - $remote_user [$time_local] $http_host "$request_line" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $apisix_upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id" "$request_type" "$llm_time_to_first_token" "$llm_model" "$request_llm_model" "$llm_prompt_tokens" "$llm_completion_tokens"'

deployment:
  admin:
    admin_key:
      - name: admin
        key: ''               # the first start generates one
        role: admin
    admin_listen:
      ip: 127.0.0.1
      port: \${{${demoPortVariables.admin}:=9180}}

weir:
  shutdown_timeout: 2s
`;
