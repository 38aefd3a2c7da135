; Collections of a module and of a class, which all its objects share.
(module (expression_statement (assignment left: (identifier) @static.name right: [(dictionary) (list) (set)])) @static)
(class_definition body: (block (expression_statement (assignment left: (identifier) @static.name right: [(dictionary) (list) (set)])) @static))
([
  (module (expression_statement (assignment left: (identifier) @static.name right: (call function: [(identifier) @new (attribute attribute: (identifier) @new)] arguments: (argument_list) @arguments))) @static)
  (class_definition body: (block (expression_statement (assignment left: (identifier) @static.name right: (call function: [(identifier) @new (attribute attribute: (identifier) @new)] arguments: (argument_list) @arguments))) @static))
] (#any-of? @new "dict" "list" "set" "deque" "defaultdict" "OrderedDict" "Counter") (#not-match? @arguments "maxlen"))
(assignment left: (identifier) @filled right: [(dictionary (_)) (list (_)) (set (_))])
; An object that has its own of the name does not share that of its class.
(assignment left: (attribute object: (identifier) @self attribute: (identifier) @fixed) (#eq? @self "self"))

(call function: (attribute object: [(identifier) @grows (attribute attribute: (identifier) @grows)
    (subscript value: [(identifier) @grows (attribute attribute: (identifier) @grows)])] attribute: (identifier) @add)
  (#any-of? @add "append" "add" "update" "setdefault" "extend" "insert" "appendleft"))
(assignment left: (subscript value: [(identifier) @grows (attribute attribute: (identifier) @grows)]))
(augmented_assignment left: [(identifier) @grows (subscript value: (identifier) @grows)])

(decorator [(identifier) @cached (attribute object: (identifier) @of attribute: (identifier) @cached)] (#eq? @cached "cache")) @cache
(call function: [(identifier) @cached (attribute attribute: (identifier) @cached)] arguments: (argument_list (keyword_argument name: (identifier) @name value: (none)))
  (#eq? @cached "lru_cache") (#eq? @name "maxsize")) @cache
(call function: [(identifier) @cached (attribute attribute: (identifier) @cached)] arguments: (argument_list . (none)) (#eq? @cached "lru_cache")) @cache
(attribute attribute: (identifier) @end (#eq? @end "cache_clear")) @cache.bound.file

(call function: (attribute object: (identifier) @module attribute: (identifier) @new) arguments: (argument_list) @none
  (#any-of? @module "queue" "asyncio") (#any-of? @new "Queue" "LifoQueue" "SimpleQueue" "PriorityQueue") (#eq? @none "()")) @queue

([(default_parameter name: (identifier) @shared.name value: [(list) (dictionary) (set)])
  (typed_default_parameter name: (identifier) @shared.name value: [(list) (dictionary) (set)])]) @shared

(call function: [(identifier) @new (attribute attribute: (identifier) @new)] (#any-of? @new "Thread" "Timer" "create_task" "ensure_future" "ThreadPoolExecutor" "ProcessPoolExecutor")) @task
(call function: (attribute attribute: (identifier) @end) (#any-of? @end "shutdown" "cancel" "gather")) @task.bound.file
(call function: (attribute attribute: (identifier) @end) arguments: (argument_list) @none (#eq? @end "join") (#eq? @none "()")) @task.bound.file
(with_item value: (_) @task.bound)

(call function: (attribute object: (identifier) @module attribute: (identifier) @new) (#eq? @module "threading") (#eq? @new "local")) @local
(call function: [(identifier) @new (attribute attribute: (identifier) @new)] (#eq? @new "ContextVar")) @local

(call function: (attribute attribute: (identifier) @release)
  (#any-of? @release "clear" "pop" "popitem" "popleft" "remove" "discard" "close" "shutdown" "cancel" "cache_clear" "unsubscribe" "disconnect"))
(delete_statement) @release
(keyword_argument name: (identifier) @release value: (integer) (#any-of? @release "maxsize" "maxlen" "ttl"))
