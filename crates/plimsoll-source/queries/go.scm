; Collections of a package, alone or in a block.
(source_file (var_declaration [
  (var_spec name: (identifier) @static.name type: [(map_type) (slice_type)]) @static
  (var_spec name: (identifier) @static.name value: (expression_list (composite_literal type: [(map_type) (slice_type)]))) @static
  (var_spec_list (var_spec name: (identifier) @static.name type: [(map_type) (slice_type)]) @static)
  (var_spec_list (var_spec name: (identifier) @static.name value: (expression_list (composite_literal type: [(map_type) (slice_type)]))) @static)
]))
((source_file (var_declaration [
  (var_spec name: (identifier) @static.name type: (qualified_type) @type) @static
  (var_spec_list (var_spec name: (identifier) @static.name type: (qualified_type) @type) @static)
])) (#match? @type "^(sync\\.Map|list\\.List|ring\\.Ring)$"))
((source_file (var_declaration [
  (var_spec name: (identifier) @static.name value: (expression_list (call_expression function: (identifier) @make arguments: (argument_list . [(map_type) (slice_type)])))) @static
  (var_spec_list (var_spec name: (identifier) @static.name value: (expression_list (call_expression function: (identifier) @make arguments: (argument_list . [(map_type) (slice_type)])))) @static)
])) (#eq? @make "make"))
((source_file (var_declaration [
  (var_spec name: (identifier) @static.name value: (expression_list (call_expression function: (selector_expression) @new))) @static
  (var_spec_list (var_spec name: (identifier) @static.name value: (expression_list (call_expression function: (selector_expression) @new))) @static)
])) (#match? @new "^(list\\.New|cmap\\.New)$"))
(var_spec name: (identifier) @filled value: (expression_list (composite_literal body: (literal_value (_)))))

(assignment_statement left: (expression_list (index_expression operand: (identifier) @grows)))
(assignment_statement left: (expression_list (identifier) @grows) right: (expression_list (call_expression function: (identifier) @append)) (#eq? @append "append"))
(call_expression function: (selector_expression operand: (identifier) @grows field: (field_identifier) @add)
  (#any-of? @add "Store" "LoadOrStore" "Swap" "PushBack" "PushFront" "Set"))

(call_expression function: (selector_expression field: (field_identifier) @new) arguments: (argument_list (selector_expression field: (field_identifier) @never))
  (#eq? @new "New") (#eq? @never "NoExpiration")) @cache

(go_statement) @task

(call_expression function: (selector_expression operand: (identifier) @package field: (field_identifier) @new)
  (#eq? @package "time") (#any-of? @new "NewTicker" "Tick")) @timer
(call_expression function: (selector_expression field: (field_identifier) @stop) (#eq? @stop "Stop")) @timer.bound.function

(short_var_declaration left: (expression_list (_) (identifier) @nobody)
  right: (expression_list (call_expression function: (selector_expression operand: (identifier) @package field: (field_identifier) @with)) @lost)
  (#eq? @nobody "_") (#eq? @package "context") (#match? @with "^With(Cancel|Timeout|Deadline)"))
(call_expression function: (selector_expression operand: (identifier) @package field: (field_identifier) @new)
  (#eq? @package "context") (#any-of? @new "Background" "TODO")) @context
(call_expression function: (identifier) @cancel (#match? @cancel "^(cancel|stop)")) @context.bound.function

(call_expression function: (selector_expression operand: (identifier) @package field: (field_identifier) @ask)
  (#eq? @package "http") (#any-of? @ask "Get" "Post" "PostForm" "Head")) @body
(call_expression function: (selector_expression operand: (_) @client field: (field_identifier) @ask) arguments: (argument_list . (_) .)
  (#eq? @ask "Do") (#match? @client "([Cc]lient|[Hh]ttp)$")) @body
(selector_expression operand: (selector_expression field: (field_identifier) @field) field: (field_identifier) @close
  (#eq? @field "Body") (#eq? @close "Close")) @body.bound.function

(call_expression function: (identifier) @make arguments: (argument_list . (channel_type) .) (#eq? @make "make")) @channel

(call_expression function: (selector_expression field: (field_identifier) @release)
  (#any-of? @release "Stop" "Close" "Delete" "Remove" "Evict" "Purge" "Clear" "Unsubscribe" "Shutdown"))
(call_expression function: (identifier) @release (#any-of? @release "delete" "clear" "cancel" "stop"))
