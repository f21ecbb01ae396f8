// flashcp_fiber_switch and the first frame of a fiber, for the System V ABI of x86-64.

        .text
        .globl  flashcp_fiber_switch
        .type   flashcp_fiber_switch, @function
flashcp_fiber_switch:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
        .size   flashcp_fiber_switch, .-flashcp_fiber_switch

// Calls rbx(r12): where a fiber begins.
        .globl  flashcp_fiber_begin
        .type   flashcp_fiber_begin, @function
flashcp_fiber_begin:
        movq    %r12, %rdi
        callq   *%rbx
        ud2
        .size   flashcp_fiber_begin, .-flashcp_fiber_begin

        .section .note.GNU-stack,"",@progbits
