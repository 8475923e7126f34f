#pragma once
#include <cblas.h>
#include <stddef.h>

/* LAPACK's eigenvalues of a symmetric matrix, which OpenBLAS contains and no header of its own declares everywhere. The
   last two are the lengths of the two texts, which Fortran passes unseen. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_length, size_t uplo_length);
