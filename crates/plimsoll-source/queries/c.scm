(call_expression function: (identifier) @take (#any-of? @take "malloc" "calloc" "realloc" "strdup" "strndup" "asprintf" "mmap" "posix_memalign" "aligned_alloc")) @taken
(call_expression function: (identifier) @end (#match? @end "free$|_unref$|^munmap$|_release$|_destroy$")) @taken.bound.file

(call_expression function: (identifier) @new (#eq? @new "pthread_create")) @task
(call_expression function: (identifier) @end (#match? @end "^pthread_(join|detach)$")) @task.bound.file

(call_expression function: (identifier) @release (#match? @release "free$|_unref$|^munmap$|_release$|_destroy$"))
